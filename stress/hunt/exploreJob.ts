/** The work of a thread that explores: a shard of an exploration, or one replay. Runs in the explored build only. */

import { AssertionError } from '../../src/base/assert.ts';
import { findingId, type Violation } from '../../src/base/finding.ts';
import { withSites } from '../../src/detect/nameSites.ts';
import { AccessDigest } from '../../src/explore/accessDigest.ts';
import { explain } from '../../src/explore/explain.ts';
import {
  explore,
  replay,
  type Exploration,
  type ExploreOptions,
  type Failure,
  type Program,
} from '../../src/explore/explore.ts';
import type { MachineWorld } from '../../src/explore/machineWorld.ts';
import { minimise, type Cut } from '../../src/explore/minimise.ts';
import { reduceProgram } from '../../src/explore/reduceProgram.ts';
import { decodeSchedule, encodeSchedule } from '../../src/explore/schedule.ts';
import { strategyNamed } from '../../src/explore/strategyNamed.ts';
import { VERDICTS, type Verdict } from '../../src/explore/world.ts';
import type { Task } from '../../src/cpu/task.ts';
import { Prng } from '../../src/base/prng.ts';
import { chromeTrace } from '../../src/report/chromeTrace.ts';
import type { ProgramOptions } from '../scenarios/scenario.ts';
import { watchedProgram } from './detectors.ts';
import type { ReplayJob, ReplayResult, ShardFailure, ShardJob, ShardResult } from './job.ts';
import { scenarioOf } from './programs.ts';
import { ProgressBoard } from './progressBoard.ts';
import { tellRun } from './tellRun.ts';
import { WatchedStrategy } from './watchedStrategy.ts';

/** Runs a job. */
export function exploreJob(job: ShardJob): ShardResult;
export function exploreJob(job: ReplayJob): ReplayResult;
export function exploreJob(job: ShardJob | ReplayJob): ShardResult | ReplayResult {
  return job.kind === 'explore' ? exploreShard(job) : replayJob(job);
}

function exploreShard(job: ShardJob): ShardResult {
  const { shard, shards, executions } = job;
  const { memory } = job.conditions;
  const board = new ProgressBoard(job.board);
  const strategy = new WatchedStrategy(
    strategyNamed(job.strategy.name, { ...job.strategy, seed: shardSeed(job) }),
    board,
    shard,
    shards,
  );
  const own = Math.floor((executions + shards - 1 - shard) / shards);
  const startMs = performance.now();
  const explored = exploreUnlessBlocked({ ...programOf(job), executions: own, strategy, memory });
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
    coverage: explored.coverage,
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
  const { program, rules, conditions } = job;
  const again: ReplayJob = { kind: 'replay', program, rules, conditions, schedule: found };
  const first = replayJob(again);
  const differs = differenceOf(failure, first);
  const { least, cut } =
    differs === null && job.minimise > 0 ? minimised(again, job.minimise) : { least: again, cut: null };
  const recorded = replayJob(least);
  const told = replayJob({ ...least, telling: job.telling });
  return {
    execution: failure.execution * job.shards + job.shard,
    verdict: recorded.verdict,
    found,
    minimised: cut,
    schedule: least.schedule,
    program: least.program,
    recorded: told,
    differs: differs ?? differenceBetween(recorded, told),
  };
}

/** The smallest program and schedule with the same finding. */
function minimised(job: ReplayJob, executions: number): { least: ReplayJob; cut: Cut } {
  const cut = minimise(programOf(job), decodeSchedule(job.schedule), { executions });
  const { kept, schedule, before, after } = cut;
  const isWhole = kept.every((operations) => operations.length > 0);
  const program = isWhole ? job.program : { ...job.program, kept };
  return { least: { ...job, program, schedule: encodeSchedule(schedule) }, cut: { before, after } };
}

function differenceOf({ verdict, violations }: Failure, { leftAt, ...recorded }: ReplayResult): string | null {
  if (leftAt !== null) return `the program left the schedule at step ${leftAt}`;
  if (recorded.verdict !== verdict) return `the exploration ended with '${verdict}', the replay '${recorded.verdict}'`;
  const kinds = (list: readonly { readonly kind: string }[]): string => list.map(({ kind }) => kind).join(', ');
  const [found, seen] = [kinds(violations), kinds(recorded.findings)];
  return found === seen ? null : `the exploration found ${found}, the replay ${seen}`;
}

function differenceBetween(first: ReplayResult, second: ReplayResult): string | null {
  const facts = ({ told: _, chromeTrace: __, ...rest }: ReplayResult): string => JSON.stringify(rest);
  return facts(first) === facts(second) ? null : 'two replays of one schedule differ';
}

function replayJob(job: ReplayJob): ReplayResult {
  const digest = new AccessDigest();
  const program = programOf(job, { places: true });
  // Before the detectors: the step that shows the finding is in the digest too.
  const observed = { ...program, observers: [digest, ...(program.observers ?? [])] };
  const { memory } = job.conditions;
  const { verdict, violations, schedule, divergedAt } = replay(observed, decodeSchedule(job.schedule), { memory });
  return {
    verdict,
    findings: violations.map((violation) => findingOf(withSites(programOf(job), schedule, violation))),
    schedule: encodeSchedule(schedule),
    steps: schedule.runs.reduce((sum, { steps }) => sum + steps, 0),
    digests: digest.digests(),
    leftAt: divergedAt,
    told: job.telling === undefined ? [] : tellRun(programOf(job), schedule, rolesOf(job), job.telling),
    chromeTrace: job.asChromeTrace === true ? chromeTrace(explain(programOf(job), schedule), rolesOf(job)) : null,
  };
}

function rolesOf({ program }: ReplayJob): readonly string[] {
  return scenarioOf(program).threads;
}

/** Steps and words of the accesses mean nothing outside of the execution: their places are in the evidence. */
function findingOf({ accesses: _, ...violation }: Violation): ReplayResult['findings'][number] {
  return { ...violation, id: findingId(violation) };
}

function programOf(
  { program: name, rules, conditions }: ShardJob | ReplayJob,
  options: ProgramOptions = {},
): Program<Task, MachineWorld> {
  const program = watchedProgram(scenarioOf(name), rules, conditions.detect, { ...options, seeks: name.seeks });
  return name.kept === undefined ? program : reduceProgram(program, name.kept);
}
