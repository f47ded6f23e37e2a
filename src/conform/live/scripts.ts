/** The cases that a live run records: random ones of some families, or those of trace files. */

import { Prng } from '../../base/prng.ts';
import type { Family } from '../random/families.ts';
import { generateSteps } from '../random/generate.ts';
import { readTraceFile } from '../traceFile.ts';
import type { Action } from '../traceFormat.ts';
import { missingReason } from '../unbuilt.ts';
import { isContained } from './orders.ts';
import type { CaseScript } from './record.ts';

const ID_DIGITS = 5;

/** What of the host limits the cases. */
export interface HostLimits {
  /** RLIMIT_MEMLOCK of a process, in pages; null: none. */
  readonly memlock: number | null;
  /** Pins that a case can hold. */
  readonly pins: number;
  /** Why these cannot be recorded, or null. */
  readonly ksm: string | null;
  readonly hugePages: string | null;
}

/** Steps that were drawn and not taken, by reason. */
export type LeftOut = Map<string, number>;

export interface RandomCases {
  readonly families: readonly Family[];
  readonly seed: number;
  readonly cases: number;
  readonly limits: HostLimits;
  /** Only the case of this id. */
  readonly caseId: string | null;
  /** Receives what the simulated kernel or the host cannot do. */
  readonly leftOut: LeftOut;
}

/** Random cases, the families in turn. The same seed gives the same cases, whatever the kernel makes of them. */
export function* randomScripts({ families, seed, cases, limits, caseId, leftOut }: RandomCases): Generator<CaseScript> {
  for (let n = 0; n < cases; n++) {
    const family = families[n % families.length];
    const id = `${family.name}-${seed}-${String(n).padStart(ID_DIGITS, '0')}`;
    if (caseId !== null && caseId !== id) continue;
    const prng = Prng.fromSeed(seed, n);
    const memlock = family.memlock === undefined ? limits.memlock : prng.below(family.memlock + 1);
    const accept = (action: Action): boolean => {
      const reason = missingReason(action) ?? hostReason(action, limits);
      if (reason !== null) leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1);
      return reason === null && isContained(action);
    };
    const actions = generateSteps(prng, family, accept);
    yield { id, family: family.name, memlock, actions };
  }
}

function hostReason(action: Action, { pins, ksm, hugePages }: HostLimits): string | null {
  if (action.op === 'ksm') return ksm;
  if (action.op === 'mmap' && action.flags.includes('hugetlb')) return hugePages;
  if (action.op === 'pin' && pins === 0) return 'io_uring is not allowed on this host, so nothing can be pinned';
  return action.op === 'pin' && action.id >= pins ? 'no more pins in one case' : null;
}

/** The cases of trace files, to be recorded again. @throws UsageError */
export async function* fileScripts(files: readonly string[], caseId: string | null): AsyncGenerator<CaseScript> {
  for (const file of files) {
    for await (const { id, family, memlock, steps } of readTraceFile(file)) {
      if (caseId !== null && caseId !== id) continue;
      yield { id, family, memlock, actions: steps.map(({ action }) => action) };
    }
  }
}
