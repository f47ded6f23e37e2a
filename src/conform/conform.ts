/** A conformance run: cases in, totals and divergences out. */

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

/** What a run has come to so far. */
export interface ConformResult {
  files: number;
  readonly totals: Totals;
  /** In the order of the files. */
  readonly families: Map<string, Totals>;
  /** By operation and reason. */
  readonly skipped: Map<string, SkippedCases>;
  readonly divergences: Divergence[];
  /** Steps of the cases that were run, and how long running them took; reading the files is not in it. */
  steps: number;
  runMs: number;
}

export interface ConformOptions {
  readonly files: readonly string[];
  /** The runner of the kernel that a case is to be held against. */
  readonly runnerFor: (trace: TraceCase) => CaseRunner;
  /** Only the case of this id. */
  readonly caseId: string | null;
  readonly observer: CaseObserver;
}

/** Told of the cases as they are run or left out. */
export interface CaseObserver {
  readonly caseStarted?: (trace: TraceCase) => void;
  readonly stepAgreed?: (trace: TraceCase, outcome: StepOutcome) => void;
  readonly caseSkipped?: (trace: TraceCase, missing: MissingOperation) => void;
  readonly caseEnded?: (trace: TraceCase, divergence: Divergence | null) => void;
}

export function emptyResult(): ConformResult {
  return {
    files: 0,
    totals: noCases(),
    families: new Map(),
    skipped: new Map(),
    divergences: [],
    steps: 0,
    runMs: 0,
  };
}

/** Reads and runs every case. @throws UsageError for input that is not a trace */
export async function conform({ files, runnerFor, caseId, observer }: ConformOptions): Promise<ConformResult> {
  const result = emptyResult();
  result.files = files.length;
  for (const file of files) {
    for await (const trace of readTraceFile(file)) {
      if (caseId === null || trace.id === caseId) judgeCase(result, trace, runnerFor(trace), observer);
    }
  }
  return result;
}

/** Runs one case, or leaves it out when the simulated kernel lacks an operation, and counts it. */
export function judgeCase(
  result: ConformResult,
  trace: TraceCase,
  run: CaseRunner,
  observer: CaseObserver,
): Divergence | null {
  const missing = findMissingOperation(trace);
  if (missing !== null) {
    count(result, trace, 'skipped');
    countSkipped(result.skipped, trace, missing);
    observer.caseSkipped?.(trace, missing);
    return null;
  }
  observer.caseStarted?.(trace);
  const { stepAgreed } = observer;
  const start = performance.now();
  const divergence = run(trace, stepAgreed === undefined ? null : (outcome) => stepAgreed(trace, outcome));
  result.runMs += performance.now() - start;
  result.steps += divergence === null ? trace.steps.length : divergence.step;
  count(result, trace, divergence === null ? 'passed' : 'failed');
  if (divergence !== null) result.divergences.push(divergence);
  observer.caseEnded?.(trace, divergence);
  return divergence;
}

function count(
  { totals, families }: ConformResult,
  { family }: TraceCase,
  outcome: Exclude<keyof Totals, 'cases'>,
): void {
  const ofFamily = families.get(family) ?? noCases();
  families.set(family, ofFamily);
  for (const sum of [totals, ofFamily]) {
    sum.cases++;
    sum[outcome]++;
  }
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
