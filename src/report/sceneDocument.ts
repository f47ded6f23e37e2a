/**
 * The scene of a finding as data: the processes concerned as they were when it was seen, and what every CPU was doing. A
 * finding of a stress run carries one, and an exploration can start from it.
 */

import type { Place } from '../base/finding.ts';

export type SceneProt = 'rw' | 'r' | 'none';

/** Part of a VMA near the place: [start, end). */
export interface SceneRange {
  readonly start: number;
  readonly end: number;
  readonly prot: SceneProt;
}

/** A page that is there, and its frame. */
export interface SceneFrame {
  readonly page: number;
  readonly pfn: number;
}

export interface SceneProcess {
  readonly number: number;
  /** Number of the process it was forked from; 0 when that is not known. */
  readonly parent: number;
  /** It is being started by exec and has its temporary stack only. */
  readonly isStarting: boolean;
  /** What it has mapped near the place. */
  readonly ranges: readonly SceneRange[];
  readonly frames: readonly SceneFrame[];
}

/** One of the newest operations of a CPU. Its fields are those of the trail; absent where the operation has not said. */
export interface SceneOperation {
  readonly cpu: number;
  /** One of the operations of a stress run. */
  readonly op: string;
  readonly running: boolean;
  readonly process: number;
  readonly page?: number | undefined;
  readonly pages: number;
  readonly detail?: number | undefined;
}

export interface Scene {
  /** The page that the finding is about. */
  readonly place: Place;
  /** In the order in which they were started: a child comes after its parent. */
  readonly processes: readonly SceneProcess[];
  /** CPU by CPU, oldest first: what runs is the last one of its CPU. */
  readonly operations: readonly SceneOperation[];
}
