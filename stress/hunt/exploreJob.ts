/** The work of a thread that explores: a shard of an exploration, or one replay. Runs in the explored build only. */

import { AssertionError } from '../../src/base/assert.ts';
import { findingId, type Violation } from '../../src/base/finding.ts';
import { AccessDigest } from '../../src/explore/accessDigest.ts';
import {
  explore,
  replay,
  type Exploration,
  type ExploreOptions,
  type Failure,
  type Program,
} from '../../src/explore/explore.ts';
import type { MachineWorld } from '../../src/explore/machineWorld.ts';
import { minimise } from '../../src/explore/minimise.ts';
import { reduceProgram } from '../../src/explore/reduceProgram.ts';
import { decodeSchedule, encodeSchedule, type Schedule } from '../../src/explore/schedule.ts';
import { strategyNamed } from '../../src/explore/strategyNamed.ts';
import { VERDICTS, type Verdict } from '../../src/explore/world.ts';
import type { Task } from '../../src/cpu/task.ts';
import { Prng } from '../../src/base/prng.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { ProgramOptions } from '../scenarios/scenario.ts';
import type { ProgramName, ReplayJob, ReplayResult, ShardFailure, ShardJob, ShardResult } from './job.ts';
import { scenarioOf } from './programs.ts';
import { ProgressBoard } from './progressBoard.ts';
import { tellRun, type Telling } from './tellRun.ts';
import { WatchedStrategy } from './watchedStrategy.ts';

/** Runs a job. */
export function exploreJob(job: ShardJob): ShardResult;
export function exploreJob(job: ReplayJob): ReplayResult;
export function exploreJob(job: ShardJob | ReplayJob): ShardResult | ReplayResult {
  return job.kind === 'explore' ? exploreShard(job) : replayJob(job);
}

function exploreShard(job: ShardJob): ShardResult {
  const { program, rules, shard, shards, executions } = job;
  const board = new ProgressBoard(job.board);
  const strategy = new WatchedStrategy(
    strategyNamed(job.strategy.name, { ...job.strategy, seed: shardSeed(job) }),
    board,
    shard,
    shards,
  );
  const own = Math.floor((executions + shards - 1 - shard) / shards);
  const startMs = performance.now();
  const explored = exploreUnlessBlocked({ ...programOf(program, rules, {}), executions: own, strategy });
  const exploredMs = performance.now() - startMs;
  strategy.report();
  if (typeof explored === 'string') return { ...NOTHING, blocked: explored };
  const { firstFailure } = explored;
  if (firstFailure !== null) board.failed(firstFailure.execution * shards + shard);
  return {
    blocked: null,
    executions: explored.executions,
    steps: explored.steps,
    exploredMs,
    verdicts: explored.verdicts,
    exhausted: strategy.exhausted,
    coverage: strategy.coverage(),
    failure: firstFailure === null ? null : examine(job, firstFailure),
  };
}

/** @returns why the set-up, which runs alone, fails under these rules: then there is nothing to explore */
function exploreUnlessBlocked(program: Program<Task, MachineWorld> & ExploreOptions): Exploration | string {
  try {
    return explore(program);
  } catch (error) {
    if (error instanceof AssertionError) return error.message;
    throw error;
  }
}

const NOTHING: ShardResult = {
  blocked: null,
  executions: 0,
  steps: 0,
  exploredMs: 0,
  verdicts: Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])) as Record<Verdict, number>,
  exhausted: false,
  coverage: { verdict: 'sampled' },
  failure: null,
};

/** The first shard explores with the seed itself, so that one worker does what the library does. */
function shardSeed({ seed, shard }: ShardJob): number {
  return shard === 0 ? seed : Prng.fromSeed(seed, shard).next32();
}

/**
 * Cuts a failing execution down and runs what is left twice more: what a finding says must be what every replay of it says.
 */
function examine(job: ShardJob, failure: Failure): ShardFailure {
  const found = encodeSchedule(failure.schedule);
  const again: ReplayJob = { kind: 'replay', program: job.program, rules: job.rules, schedule: found };
  const first = replayJob(again);
  const differs = differenceOf(failure, first);
  const least = differs === null && job.minimise > 0 ? minimised(again, job.minimise) : again;
  const recorded = replayJob(least);
  const told = replayJob({ ...least, telling: job.telling });
  return {
    execution: failure.execution * job.shards + job.shard,
    verdict: recorded.verdict,
    found,
    schedule: least.schedule,
    program: least.program,
    recorded: told,
    differs: differs ?? differenceBetween(recorded, told),
  };
}

/** The smallest program and schedule with the same finding. */
function minimised(job: ReplayJob, executions: number): ReplayJob {
  const { kept, schedule } = minimise(programOf(job.program, job.rules, {}), decodeSchedule(job.schedule), {
    executions,
  });
  const isWhole = kept.every((operations) => operations.length > 0);
  const program = isWhole ? job.program : { ...job.program, kept };
  return { ...job, program, schedule: encodeSchedule(schedule) };
}

function differenceOf({ verdict, violations }: Failure, { leftAt, ...recorded }: ReplayResult): string | null {
  if (leftAt !== null) return `the program left the schedule at step ${leftAt}`;
  if (recorded.verdict !== verdict) return `the exploration ended with '${verdict}', the replay '${recorded.verdict}'`;
  const kinds = (list: readonly { readonly kind: string }[]): string => list.map(({ kind }) => kind).join(', ');
  const [found, seen] = [kinds(violations), kinds(recorded.findings)];
  return found === seen ? null : `the exploration found ${found}, the replay ${seen}`;
}

function differenceBetween(first: ReplayResult, second: ReplayResult): string | null {
  const facts = ({ told: _, ...rest }: ReplayResult): string => JSON.stringify(rest);
  return facts(first) === facts(second) ? null : 'two replays of one schedule differ';
}

function replayJob({ program, rules, schedule, telling }: ReplayJob): ReplayResult {
  const digest = new AccessDigest();
  const observed = { ...programOf(program, rules, { places: true }), observers: [digest] };
  const { verdict, violations, schedule: ran, divergedAt } = replay(observed, decodeSchedule(schedule));
  return {
    verdict,
    findings: violations.map(findingOf),
    schedule: encodeSchedule(ran),
    steps: ran.runs.reduce((sum, { steps }) => sum + steps, 0),
    digests: digest.digests(),
    leftAt: divergedAt,
    told: telling === undefined ? [] : tell(program, rules, ran, telling),
  };
}

function tell(name: ProgramName, rules: Rules, schedule: Schedule, telling: Telling): string[] {
  const { threads } = scenarioOf(name);
  return tellRun(programOf(name, rules, {}), schedule, threads, telling);
}

function findingOf(violation: Violation): ReplayResult['findings'][number] {
  return { ...violation, id: findingId(violation) };
}

function programOf(name: ProgramName, rules: Rules, options: ProgramOptions): Program<Task, MachineWorld> {
  const program = scenarioOf(name).program(rules, { ...options, seeks: name.seeks });
  return name.kept === undefined ? program : reduceProgram(program, name.kept);
}
