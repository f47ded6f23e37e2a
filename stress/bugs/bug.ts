/** An entry of the catalogue: a decision of the kernel turned to its wrong value, and what must then be seen. */

import type { FindingKind } from '../../src/base/finding.ts';
import type { RuleSetting } from '../../src/rules/resolve.ts';

/** How sure the source is that this was a bug of a real kernel. */
export type Certainty = 'fixed-bug' | 'suspicion' | 'mutant';

export interface Bug {
  readonly id: string;
  readonly title: string;
  /** Commit, CVE or mail thread. */
  readonly reference: string;
  readonly certainty: Certainty;
  /** Rules to set, in order, on top of the chosen kernel. The last ones are the wrong decision, the others its setting. */
  readonly rules: readonly RuleSetting[];
  /** Kinds of finding that prove it; any of them. */
  readonly expected: readonly FindingKind[];
  /** What the wrong rule is and why somebody would write it. */
  readonly why: string;
  /** The bad run in words. */
  readonly badRun: string;
  /** Mix that meets it soonest; absent: the default mix. */
  readonly mix?: string;
  /** Processes that meet it soonest; absent: the default number. */
  readonly processes?: number;
}
