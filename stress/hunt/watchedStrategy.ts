/** A strategy under watch: it reports its progress to the board and ends when it is told to. */

import type { Coverage, SchedulerView, Strategy } from '../../src/explore/strategy.ts';
import type { ProgressBoard } from './progressBoard.ts';

/** Executions between two reports: a report costs two stores that other cores read. */
const REPORT_MASK = 15;

export class WatchedStrategy implements Strategy {
  readonly name: string;
  /** The strategy itself had nothing left. */
  exhausted = false;
  private readonly inner: Strategy;
  private readonly board: ProgressBoard;
  private readonly shard: number;
  private readonly shards: number;
  private executions = 0;
  private steps = 0;

  constructor(inner: Strategy, board: ProgressBoard, shard: number, shards: number) {
    this.name = inner.name;
    this.inner = inner;
    this.board = board;
    this.shard = shard;
    this.shards = shards;
  }

  begin(execution: number, view: SchedulerView): boolean {
    const { board, shard, shards } = this;
    if (board.stopped || !board.isWanted(execution * shards + shard)) return false;
    this.exhausted = !this.inner.begin(execution, view);
    return !this.exhausted;
  }

  choose(view: SchedulerView): number {
    return this.inner.choose(view);
  }

  pick(view: SchedulerView, options: number): number {
    return this.inner.pick?.(view, options) ?? 0;
  }

  end(view: SchedulerView, failed: boolean): void {
    this.inner.end(view, failed);
    this.executions++;
    this.steps += view.steps;
    if ((this.executions & REPORT_MASK) === 0 || failed) this.report();
  }

  coverage(): Coverage {
    return this.inner.coverage?.() ?? { verdict: 'sampled' };
  }

  /** Brings the board up to date. */
  report(): void {
    this.board.advance(this.shard, this.executions, this.steps);
  }
}
