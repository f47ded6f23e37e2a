/** The detectors of the explored build, made anew. */
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { HeldLocks } from '../../src/detect/heldLocks.ts';
import { LockGuards } from '../../src/detect/lockGuards.ts';
import { ObjectLifetimes } from '../../src/detect/objectLifetimes.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { StepInvariants } from '../../src/detect/stepInvariants.ts';
import type { AccessObserver } from '../../src/explore/observer.ts';

export interface Detectors {
  readonly observers: readonly AccessObserver[];
  /** What the lock detector must hear of every lock. */
  readonly locks: HeldLocks;
}

/** All that hold under the rules: the guards of fields are those of kernels with one lock per anon_vma tree. */
export function allDetectors(rules: Rules): Detectors {
  const locks = new HeldLocks();
  const observers = [new DataRaces(), new ObjectLifetimes(), new StepInvariants()];
  return rules.anonVma.lock === 'rootRwsem'
    ? { observers: [...observers, new LockGuards(locks)], locks }
    : { observers, locks };
}
