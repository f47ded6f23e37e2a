/**
 * A scenario: a few processes, set up alone, and two to four threads that meet in them. Nothing in it says when who runs,
 * and nothing knows a bug: under the right rules the same scenario must stay silent whatever the schedule.
 *
 * Every execution has all detectors on: the hooks of the mm, lockdep, and at its end, when every thread has finished, the
 * checks that hold at rest and the take-down of everything that is left.
 */

import { assert } from '../../src/base/assert.ts';
import { isPrediction, type FindingKind, type Violation } from '../../src/base/finding.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { LockdepHook } from '../../src/cpu/hooks.ts';
import type { MachineSize } from '../../src/cpu/machine.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Program } from '../../src/explore/explore.ts';
import type { MachineWorld } from '../../src/explore/machineWorld.ts';
import type { Thread, ViolationSink } from '../../src/explore/world.ts';
import { bootMachine } from '../../src/mm/boot.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { Endings, judgeEnd } from './ending.ts';
import { Stage } from './stage.ts';

/** What a scenario is, without what it runs: the list of `mmstorm scenarios`. */
export interface ScenarioDoc {
  readonly id: string;
  readonly title: string;
  /** Commit, CVE, mail thread or kernel function. */
  readonly reference: string;
  /** The bug of the catalogue that it shows, or null: it shows that nothing happens. */
  readonly bug: string | null;
  readonly shows: string;
  /** Kinds of finding that prove the bug; any of them. */
  readonly expected: readonly FindingKind[];
}

export interface Scenario extends ScenarioDoc {
  /** What each thread does. */
  readonly threads: readonly string[];
  /** The program under these rules. */
  readonly program: (rules: Rules, options?: ProgramOptions) => Program<Task, MachineWorld>;
}

export interface ProgramOptions {
  /** Lockdep notes where locks were taken: for one execution that is to be told, too slow for thousands. */
  readonly places?: boolean;
  /** Hears of every lock beside lockdep: what the lock detector needs. */
  readonly locks?: LockdepHook;
  /** Kinds of finding that are looked for: predictions of any other kind are passed over. None: every finding counts. */
  readonly seeks?: readonly FindingKind[] | undefined;
}

/** Judges the end of an execution before anything is taken down. */
export type Report = (violation: Violation) => void;

/** A thread of a scenario; task i + 1 runs thread i. */
export interface Role<Shared> {
  readonly name: string;
  readonly act: (task: Task, shared: Shared, report: Report) => Sim<void>;
}

/** A scenario with what it runs. `Shared` is what the set-up hands to the threads. */
export interface Play<Shared> extends ScenarioDoc {
  /** Differences from STAGE_MACHINE. */
  readonly size?: Partial<MachineSize>;
  /** Runs alone, as any of the stage's tasks. */
  readonly setup: (stage: Stage) => Sim<Shared>;
  readonly roles: readonly Role<Shared>[];
}

/** Makes the scenario of a play. */
export function scenario<Shared>(play: Play<Shared>): Scenario {
  const { id, title, reference, bug, shows, expected, roles } = play;
  const program = (rules: Rules, options: ProgramOptions = {}): Program<Task, MachineWorld> =>
    programOf(play, rules, options);
  return { id, title, reference, bug, shows, expected, threads: roles.map(({ name }) => name), program };
}

function programOf<Shared>(
  play: Play<Shared>,
  rules: Rules,
  { places = false, seeks = [], locks }: ProgramOptions,
): Program<Task, MachineWorld> {
  const { roles } = play;
  const endings = new Endings();
  let stage: Stage | undefined;
  let shared: Shared | undefined;
  let report: Report = () => {};
  const threads = roles.map(
    (role): Thread<Task> =>
      (task: Task): Sim<void> =>
        playRole(role, task, shared!, report),
  );
  return {
    setup: (to: ViolationSink): Sim<MachineWorld> => {
      const sink = passOver(seeks, to);
      report = sink;
      stage = new Stage({ rules, cpus: roles.length, size: play.size ?? {}, sink, places, locks });
      bootMachine(stage.heap);
      shared = play.setup(stage);
      return stage.newWorld();
    },
    threads,
    check: (_world: MachineWorld, sink: ViolationSink): Sim<void> =>
      judgeEnd(stage!.newJudge(), endings, passOver(seeks, sink)),
  };
}

/** A thread from its start to its end, where it must hold nothing any more. */
function playRole<Shared>(role: Role<Shared>, task: Task, shared: Shared, report: Report): Sim<void> {
  role.act(task, shared, report);
  task.lockdep?.returnToUser(task);
  assert(task.preemptCount === 0 && !task.irqsOff, 'a thread ends in atomic context');
}

/** A search for harm goes on past the warnings that foretell it. */
export function passOver(seeks: readonly FindingKind[], sink: ViolationSink): ViolationSink {
  if (seeks.length === 0) return sink;
  return (violation) => {
    if (!isPrediction(violation.kind) || seeks.includes(violation.kind)) sink(violation);
  };
}
