/**
 * Who watches the accesses of an exploration: race detectors, locksets, digests. An observer only looks; what it finds it
 * gives to the sink.
 */

import type { Heap } from '../arena/heap.ts';
import type { SchedulerView } from './strategy.ts';
import type { ViolationSink } from './world.ts';

export interface AccessObserver {
  /** An execution begins: `heap` is as the set-up left it, the same each time. */
  begin(view: SchedulerView, heap: Heap, sink: ViolationSink): void;
  /** Task `task` (index) ran from `view.firstStep` on; what it touched stands in the access log (L of the runtime). */
  ran(task: number, view: SchedulerView): void;
  /** The execution is over, with every thread at its end. */
  done?(view: SchedulerView): void;
}
