/** What one simulated CPU of a stress run works with. */

import type { Violation } from '../src/base/finding.ts';
import type { Task } from '../src/cpu/task.ts';
import type { Pfn } from '../src/layout/ids.ts';
import type { Mix } from './mix.ts';
import type { SharedValues } from './sharedValues.ts';
import type { ProcessTable, Slot } from './processTable.ts';

/** A pin a CPU holds. `page` is -1 once the mapping was changed: then only the count is of interest. */
export interface HeldPin {
  readonly slot: Slot;
  readonly number: number;
  page: number;
  readonly pfn: Pfn;
}

/** A word that a CPU wrote to a huge page of a mapping that the process made itself. */
export interface HugeWord {
  page: number;
  readonly isShared: boolean;
  value: number;
  /** Of a shared page: its number among the shared values. */
  id: number;
}

export interface CpuContext {
  readonly task: Task;
  readonly table: ProcessTable;
  readonly cpus: number;
  readonly mix: Mix;
  readonly mixTotal: number;
  readonly pins: HeldPin[];
  /** Receives what the shadow model found. */
  readonly report: (violation: Violation) => void;
  /** What the own words of shared memory must hold. */
  readonly shared: SharedValues;
  /** By process number. */
  readonly hugeWords: Map<number, HugeWord>;
  /** Running number for values. */
  counter: number;
}
