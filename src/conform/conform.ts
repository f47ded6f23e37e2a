/** A conformance run: files in, totals and divergences out. */

import type { Divergence } from './divergence.ts';
import type { StepOutcome } from './runCase.ts';
import type { CaseRunner } from './runner.ts';
import { readTraceFile } from './traceFile.ts';
import type { TraceCase } from './traceFormat.ts';
import { findMissingOperation, type MissingOperation } from './unbuilt.ts';

export interface Totals {
  cases: number;
  passed: number;
  failed: number;
  skipped: number;
}

/** Cases that were not run because of one operation. */
export interface SkippedCases {
  readonly op: string;
  readonly reason: string;
  cases: number;
  readonly families: Record<string, number>;
}

export interface ConformResult {
  readonly files: number;
  readonly totals: Readonly<Totals>;
  /** In the order of the files. */
  readonly families: ReadonlyMap<string, Readonly<Totals>>;
  readonly skipped: readonly Readonly<SkippedCases>[];
  readonly divergences: readonly Divergence[];
  /** Steps of the cases that were run, and how long running them took; reading the files is not in it. */
  readonly steps: number;
  readonly runMs: number;
}

export interface ConformOptions {
  readonly files: readonly string[];
  readonly runner: CaseRunner;
  /** Only the case of this id. */
  readonly caseId: string | null;
  readonly observer: CaseObserver | null;
}

/** Told of the cases as they are run or left out. */
export interface CaseObserver {
  readonly caseSkipped: (trace: TraceCase, missing: MissingOperation) => void;
  readonly caseStarted: (trace: TraceCase) => void;
  readonly stepAgreed: (trace: TraceCase, outcome: StepOutcome) => void;
  readonly caseEnded: (trace: TraceCase, divergence: Divergence | null) => void;
}

/** Reads and runs every case. @throws UsageError for input that is not a trace */
export async function conform({ files, runner, caseId, observer }: ConformOptions): Promise<ConformResult> {
  const totals = noCases();
  const families = new Map<string, Totals>();
  const skipped = new Map<string, SkippedCases>();
  const divergences: Divergence[] = [];
  let steps = 0;
  let runMs = 0;
  for (const file of files) {
    for await (const trace of readTraceFile(file)) {
      if (caseId !== null && trace.id !== caseId) continue;
      const family = families.get(trace.family) ?? noCases();
      families.set(trace.family, family);
      const count = (outcome: 'passed' | 'failed' | 'skipped'): void => {
        for (const sum of [totals, family]) {
          sum.cases++;
          sum[outcome]++;
        }
      };
      const missing = findMissingOperation(trace);
      if (missing !== null) {
        count('skipped');
        countSkipped(skipped, trace, missing);
        observer?.caseSkipped(trace, missing);
        continue;
      }
      const start = performance.now();
      const divergence = runObserved(runner, trace, observer);
      runMs += performance.now() - start;
      steps += divergence === null ? trace.steps.length : divergence.step;
      count(divergence === null ? 'passed' : 'failed');
      if (divergence !== null) divergences.push(divergence);
    }
  }
  return { files: files.length, totals, families, skipped: [...skipped.values()], divergences, steps, runMs };
}

function runObserved(runner: CaseRunner, trace: TraceCase, observer: CaseObserver | null): Divergence | null {
  if (observer === null) return runner(trace, null);
  observer.caseStarted(trace);
  const divergence = runner(trace, (outcome) => observer.stepAgreed(trace, outcome));
  observer.caseEnded(trace, divergence);
  return divergence;
}

function countSkipped(skipped: Map<string, SkippedCases>, { family }: TraceCase, missing: MissingOperation): void {
  const key = `${missing.op}: ${missing.reason}`;
  const row = skipped.get(key) ?? { ...missing, cases: 0, families: {} };
  skipped.set(key, row);
  row.cases++;
  row.families[family] = (row.families[family] ?? 0) + 1;
}

function noCases(): Totals {
  return { cases: 0, passed: 0, failed: 0, skipped: 0 };
}
