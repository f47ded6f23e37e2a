/** The findings of a run: one per id, in the order in which they were seen. */

import type { Violation } from '../../src/base/finding.ts';
import { findingId, makeFinding } from '../../src/base/finding.ts';
import type { StressFinding } from '../../src/report/stressDocument.ts';
import type { Scene } from '../../src/report/sceneDocument.ts';
import type { Bug } from '../bugs/bug.ts';

export class Findings {
  private readonly byId = new Map<string, StressFinding>();
  private readonly bug: Bug | undefined;
  private readonly reproduce: string;

  constructor(bug: Bug | undefined, reproduce: string) {
    this.bug = bug;
    this.reproduce = reproduce;
  }

  /** Adds a violation unless the same bug is there already; `who` are the operations in flight. */
  add(violation: Violation, who: readonly string[], scene?: Scene): void {
    const id = findingId(violation);
    if (this.byId.has(id)) return;
    const matches = this.bug !== undefined && this.bug.expected.includes(violation.kind);
    const evidence =
      who.length === 0 ? violation.evidence : [...violation.evidence, 'operations in flight and just before:', ...who];
    const run = matches
      ? { reproduce: this.reproduce, bug: `${this.bug.id}: ${this.bug.badRun}`, reference: this.bug.reference }
      : { reproduce: this.reproduce };
    const finding = makeFinding({ ...violation, evidence }, run);
    this.byId.set(id, scene === undefined ? finding : { ...finding, scene });
  }

  /** All findings so far. */
  list(): StressFinding[] {
    return [...this.byId.values()];
  }

  get count(): number {
    return this.byId.size;
  }
}
