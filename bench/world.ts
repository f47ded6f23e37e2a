/** A booted machine with one task, for benchmarks of one thread; detectors off unless a case asks for lockdep. */

import type { Heap } from '../src/arena/heap.ts';
import { STRESS_MACHINE, createMachine } from '../src/cpu/machine.ts';
import { createTask, type Task } from '../src/cpu/task.ts';
import type { MmPtr, Vpn } from '../src/layout/ids.ts';
import { createLockdep } from '../src/lockdep/lockdep.ts';
import { initLockdep, lockdepWords } from '../src/lockdep/section.ts';
import { bootMachine } from '../src/mm/boot.ts';
import { mmAlloc } from '../src/mm/mmStruct.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../src/mm/syscallFlags.ts';
import { sysMmap } from '../src/mm/syscalls.ts';
import { PAGE_SIZE, setMmapWindow, vpnToAddr } from '../src/mm/userSpace.ts';
import { userWrite } from '../src/mm/userAccess.ts';
import { LINUX_7_0 } from '../src/rules/presets.ts';

export const WINDOW = 4096;

export interface World {
  readonly heap: Heap;
  readonly task: Task;
  readonly mm: MmPtr;
}

/** @param lockdep with the validator on, which must not complain */
export function createWorld(lockdep = false): World {
  const heap = createMachine({ ...STRESS_MACHINE, cpus: 2, lockdepWords: lockdep ? lockdepWords(2) : 0 });
  bootMachine(heap);
  if (lockdep) initLockdep(heap);
  const task = createTask({
    heap,
    id: 1,
    rules: LINUX_7_0,
    seed: 1,
    lockdep: lockdep
      ? createLockdep(heap, ({ kind }) => {
          throw new Error(`lockdep complains in a benchmark: ${kind}`);
        })
      : null,
  });
  const mm = mmAlloc(task);
  setMmapWindow(task, mm, 0 as Vpn, WINDOW as Vpn);
  task.mm = mm;
  return { heap, task, mm };
}

/** Maps [start, start + pages) readable and writable, without pages. */
export function mapRange({ task }: World, start: number, pages: number): void {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const at = sysMmap(task, vpnToAddr(start), pages * PAGE_SIZE, PROT_READ | PROT_WRITE, flags);
  if (at < 0) throw new Error(`mmap failed: ${at}`);
}

/** Writes a word of every page of a range. */
export function touch({ task }: World, start: number, pages: number): void {
  for (let vpn = start; vpn < start + pages; vpn++) {
    if (userWrite(task, vpn as Vpn, 0, vpn) !== 0) throw new Error('a write failed');
  }
}
