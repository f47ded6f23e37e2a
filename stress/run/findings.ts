/** The findings of a run: one per id, in the order in which they were seen. */

import type { Finding, Violation } from '../../src/base/finding.ts';
import { findingId, makeFinding } from '../../src/base/finding.ts';
import type { Bug } from '../bugs/bug.ts';

export class Findings {
  private readonly byId = new Map<string, Finding>();
  private readonly bug: Bug | undefined;
  private readonly reproduce: string;

  constructor(bug: Bug | undefined, reproduce: string) {
    this.bug = bug;
    this.reproduce = reproduce;
  }

  /** Adds a violation unless the same bug is there already; `who` are the operations in flight. */
  add(violation: Violation, who: readonly string[]): void {
    const id = findingId(violation);
    if (this.byId.has(id)) return;
    const matches = this.bug !== undefined && this.bug.expected.includes(violation.kind);
    const evidence =
      who.length === 0 ? violation.evidence : [...violation.evidence, 'operations in flight and just before:', ...who];
    this.byId.set(
      id,
      makeFinding(
        { ...violation, evidence },
        matches
          ? { reproduce: this.reproduce, bug: `${this.bug.id}: ${this.bug.badRun}`, reference: this.bug.reference }
          : { reproduce: this.reproduce },
      ),
    );
  }

  /** All findings so far. */
  list(): Finding[] {
    return [...this.byId.values()];
  }

  get count(): number {
    return this.byId.size;
  }
}
