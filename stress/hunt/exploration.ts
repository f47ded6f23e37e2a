/**
 * An exploration, seen from the main thread: shards in worker threads, a board they share, limits, and one result. The
 * main thread only waits for promises, so progress and Ctrl-C go on.
 *
 * With the same seed and number of shards the result is the same on every machine, unless a time limit or the user cuts it
 * short: of several failures the one with the lowest number counts, and shards run on until they are past it.
 */

import { Piscina } from 'piscina';
import type { Rules } from '../../src/rules/rules.ts';
import type { Coverage } from '../../src/explore/strategy.ts';
import { VERDICTS, type Verdict } from '../../src/explore/world.ts';
import type {
  StrategyChoice,
  ProgramName,
  ReplayJob,
  ReplayResult,
  ShardFailure,
  ShardJob,
  ShardResult,
} from './job.ts';
import type { Conditions } from './detectorChoice.ts';
import { ProgressBoard } from './progressBoard.ts';
import type { Telling } from './tellRun.ts';

const LOOK_MS = 100;

export interface ExplorationRequest {
  readonly program: ProgramName;
  readonly rules: Rules;
  readonly conditions: Conditions;
  readonly strategy: StrategyChoice;
  readonly seed: number;
  readonly shards: number;
  readonly executions: number;
  readonly durationMs: number;
  readonly minimise: number;
  readonly telling: Telling;
}

export interface ExplorationControl {
  /** Aborted: the shards end behind their present execution. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ExplorationProgress) => void;
}

export interface ExplorationProgress {
  readonly elapsedMs: number;
  readonly executions: number;
}

/** Why an exploration ended. */
export type Ended = 'blocked' | 'found' | 'exhausted' | 'executions' | 'duration' | 'interrupted';

export interface ExplorationResult {
  readonly ended: Ended;
  /** Why nothing could be explored, or null. */
  readonly blocked: string | null;
  readonly executions: number;
  readonly steps: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  /** Time of the exploration alone, without the start of the threads and what is done with a finding. */
  readonly elapsedMs: number;
  readonly coverage: Coverage;
  readonly failure: ShardFailure | null;
}

/** The worker threads of explorations, started when first needed. */
export class ExplorerPool {
  private readonly pool: Piscina;

  /** @param worker bundle of workers/exploreWorker.ts */
  constructor(worker: URL, threads: number) {
    this.pool = new Piscina({
      filename: worker.href,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      atomics: 'disabled',
      // Findings name places in the source.
      execArgv: ['--enable-source-maps'],
    });
  }

  /** Explores until something is found or a limit is reached. */
  async explore(request: ExplorationRequest, { signal, onProgress }: ExplorationControl): Promise<ExplorationResult> {
    const { shards, durationMs } = request;
    const board = ProgressBoard.create(shards);
    const startMs = performance.now();
    let late = false;
    const look = setInterval(() => {
      const elapsedMs = performance.now() - startMs;
      late ||= elapsedMs >= durationMs;
      if (late || signal.aborted) board.stop();
      onProgress({ elapsedMs, executions: board.totals().executions });
    }, LOOK_MS);
    try {
      const jobs = Array.from({ length: shards }, (_, shard) => this.shard(request, shard, board));
      const results = await Promise.all(jobs);
      return summarise(results, { late, interrupted: signal.aborted });
    } finally {
      board.stop();
      clearInterval(look);
    }
  }

  /** Runs one execution under a recorded schedule. */
  async replay(job: Omit<ReplayJob, 'kind'>): Promise<ReplayResult> {
    return (await this.pool.run({ ...job, kind: 'replay' } satisfies ReplayJob)) as ReplayResult;
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private async shard(request: ExplorationRequest, shard: number, board: ProgressBoard): Promise<ShardResult> {
    const { program, rules, conditions, strategy, seed, shards, executions, minimise, telling } = request;
    const { buffer } = board;
    const job: ShardJob = {
      ...{ kind: 'explore', program, rules, conditions, strategy, seed, shard, shards, executions, minimise, telling },
      board: buffer,
    };
    return (await this.pool.run(job)) as ShardResult;
  }
}

function summarise(
  results: readonly ShardResult[],
  { late, interrupted }: { readonly late: boolean; readonly interrupted: boolean },
): ExplorationResult {
  const sum = (of: (result: ShardResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const failures = results.flatMap(({ failure }) => (failure === null ? [] : [failure]));
  const failure = failures.toSorted((a, b) => a.execution - b.execution).at(0) ?? null;
  const verdicts = Object.fromEntries(
    VERDICTS.map((verdict) => [verdict, sum((result) => result.verdicts[verdict])]),
  ) as Record<Verdict, number>;
  const exhausted = results.every((result) => result.exhausted);
  const blocked = results[0].blocked;
  const limit: Ended = interrupted ? 'interrupted' : late ? 'duration' : 'executions';
  return {
    ended: endOf(blocked, failure, exhausted) ?? limit,
    blocked,
    executions: sum(({ executions }) => executions),
    steps: sum(({ steps }) => steps),
    verdicts,
    elapsedMs: Math.max(...results.map(({ exploredMs }) => exploredMs)),
    coverage: results.map(({ coverage }) => coverage).reduce(addCoverage),
    failure,
  };
}

function endOf(blocked: string | null, failure: ShardFailure | null, exhausted: boolean): Ended | null {
  if (blocked !== null) return 'blocked';
  if (failure !== null) return 'found';
  return exhausted ? 'exhausted' : null;
}

/** Shards of a sample are independent: a bug is missed when each of them misses it. A proof has one shard. */
function addCoverage(a: Coverage, b: Coverage): Coverage {
  const missProbability = a.missProbability?.map(({ depth, probability }) => {
    const other = b.missProbability?.find((miss) => miss.depth === depth)?.probability ?? 1;
    return { depth, probability: probability * other };
  });
  return { verdict: 'sampled', missProbability };
}
