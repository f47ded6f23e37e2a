/** The detectors of an exploration, attached to its program. */

import type { FindingKind } from '../../src/base/finding.ts';
import type { Task } from '../../src/cpu/task.ts';
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { HeldLocks } from '../../src/detect/heldLocks.ts';
import { LockGuards } from '../../src/detect/lockGuards.ts';
import { ObjectLifetimes } from '../../src/detect/objectLifetimes.ts';
import { StepInvariants } from '../../src/detect/stepInvariants.ts';
import type { Program } from '../../src/explore/explore.ts';
import type { MachineWorld } from '../../src/explore/machineWorld.ts';
import type { AccessObserver } from '../../src/explore/observer.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { passOver, type ProgramOptions, type Scenario } from '../scenarios/scenario.ts';
import type { DetectorName } from './detectorChoice.ts';

/** The program of a scenario with detectors, made anew, that watch it. */
export function watchedProgram(
  scenario: Scenario,
  rules: Rules,
  detect: readonly DetectorName[],
  options: ProgramOptions,
): Program<Task, MachineWorld> {
  const locks = new HeldLocks();
  const observers = detect.map((name) => sought(detectorNamed(name, locks), options.seeks ?? []));
  // Nobody empties the list of holds where the guards are not looked at.
  const program = scenario.program(rules, detect.includes('guards') ? { ...options, locks } : options);
  return { ...program, observers };
}

function detectorNamed(name: DetectorName, locks: HeldLocks): AccessObserver {
  switch (name) {
    case 'races':
      return new DataRaces();
    case 'guards':
      return new LockGuards(locks);
    case 'lifetimes':
      return new ObjectLifetimes();
    case 'steps':
      return new StepInvariants();
  }
}

/** The same detector; of what it finds, what is not looked for is passed over. */
function sought(detector: AccessObserver, seeks: readonly FindingKind[]): AccessObserver {
  if (seeks.length === 0) return detector;
  return {
    begin: (view, heap, sink) => detector.begin(view, heap, passOver(seeks, sink)),
    ran: (task, view) => detector.ran(task, view),
    done: (view) => detector.done?.(view),
  };
}
