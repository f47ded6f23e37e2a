/**
 * Who watches the accesses of an exploration: race detectors, locksets, digests. An observer only looks; what it finds it
 * gives to the sink of its program.
 */

import type { SchedulerView } from './strategy.ts';

export interface AccessObserver {
  /** An execution begins. */
  begin(view: SchedulerView): void;
  /** Task `task` (index) ran from `view.firstStep` on; what it touched stands in the access log (L of the runtime). */
  ran(task: number, view: SchedulerView): void;
}
