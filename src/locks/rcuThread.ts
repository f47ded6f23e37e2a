/**
 * The kernel thread that sees to it that grace periods end and deferred frees happen, whoever deferred them: what softirqs
 * and rcu_gp_kthread do in the kernel. On threads each task looks after its own list (rcu.ts); where every interleaving is
 * run, this one makes the free happen at any moment after the grace period.
 *
 * Kernel: rcu_gp_kthread(), rcu_core(). It never finishes: an exploration runs it as a daemon.
 */

import type { Sim } from '../base/sim.ts';
import { cpuRelax } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import { rcuBarrier } from './rcu.ts';

/** Frees what is deferred once its grace period is over, for ever. */
export function rcuThread(task: Task): Sim<void> {
  while (true) {
    rcuBarrier(task);
    cpuRelax(task);
  }
}
