/**
 * Round robin: the tasks take turns of a fixed number of steps. One execution for each length of a turn and each task that
 * is first, from single steps up to turns as long as the whole program.
 */

import { countTasks, nthTask, type SchedulerView, type Strategy } from './strategy.ts';

class RoundRobin implements Strategy {
  readonly name = 'round-robin';
  private turn = 1;
  private next = 0;
  private longest = 1;

  begin(execution: number, view: SchedulerView): boolean {
    this.turn = 1 + Math.floor(execution / view.tasks);
    this.next = execution % view.tasks;
    return this.turn <= this.longest;
  }

  choose(view: SchedulerView): number {
    const { runnable, tasks } = view;
    const behind = runnable & (-1 << this.next);
    const from = behind === 0 ? runnable : behind;
    const task = countTasks(from) === 0 ? 0 : nthTask(from, 0);
    this.next = (task + 1) % tasks;
    view.budget = this.turn - 1;
    return task;
  }

  end(view: SchedulerView): void {
    if (view.steps > this.longest) this.longest = view.steps;
  }
}

/** Round robin, from turns of one step up. */
export function roundRobinStrategy(): Strategy {
  return new RoundRobin();
}
