/** A divergence: the step of a case at which the simulated kernel and the recording part. */

import { describeStep } from './describe.ts';
import { kernelRule, type Aspect } from './kernelRule.ts';
import { drawProcess } from './picture.ts';
import type { CaseProgress } from './runCase.ts';
import type { Op, Result, TraceCase, TraceState } from './traceFormat.ts';

export interface Divergence {
  readonly case: string;
  readonly family: string;
  /** Where the case stands: file:line. */
  readonly source: string;
  /** Index into the steps; their number for what is left behind when all have exited. */
  readonly step: number;
  readonly op: Op;
  readonly call: string;
  readonly aspect: Aspect;
  readonly process: number | null;
  readonly page: number | null;
  readonly expected: unknown;
  readonly actual: unknown;
  readonly rule: string;
  readonly states: { readonly before: TraceState; readonly expected: TraceState; readonly actual: TraceState | null };
}

/** The divergence of a run that ended, or null when it agreed throughout. */
export function divergenceOf(trace: TraceCase, progress: CaseProgress): Divergence | null {
  if (progress.divergence === null) return null;
  const { difference, state } = progress.divergence;
  return makeDivergence(trace, progress, difference, state);
}

/** The divergence of a run that the simulated kernel could not finish: an assertion failed, or it waits for ever. */
export function brokenDivergence(trace: TraceCase, progress: CaseProgress, message: string): Divergence {
  const expected: Result = trace.steps[progress.step]?.result ?? 0;
  const difference = { aspect: 'assertion', process: null, page: null, expected, actual: message } as const;
  return makeDivergence(trace, progress, difference, null);
}

function makeDivergence(
  trace: TraceCase,
  { step, before }: CaseProgress,
  difference: Pick<Divergence, 'aspect' | 'process' | 'page' | 'expected' | 'actual'>,
  actual: TraceState | null,
): Divergence {
  const { action, result, after } = trace.steps[Math.min(step, trace.steps.length - 1)];
  const isOver = step >= trace.steps.length;
  return {
    case: trace.id,
    family: trace.family,
    source: `${trace.file}:${trace.line}`,
    step,
    op: isOver ? 'exit' : action.op,
    call: isOver ? 'all processes exit' : describeStep(action, result),
    ...difference,
    rule: kernelRule(isOver ? 'exit' : action.op, difference.aspect),
    states: { before, expected: isOver ? new Map() : after, actual },
  };
}

/** What a person reads: the step, both sides, the processes concerned before and after, the rule. */
export function divergenceText(divergence: Divergence): string {
  const { source, step, call, aspect, process, expected, actual, rule } = divergence;
  const where = process === null ? '' : ` of process ${process}`;
  const lines = [
    `${divergence.case} step ${step}: ${call}   (${source})`,
    `  ${aspect}${where}`,
    `    expected  ${JSON.stringify(expected)}`,
    `    actual    ${JSON.stringify(actual)}`,
    ...pictures(divergence).map((line) => (line === '' ? '' : `  ${line}`)),
    `  rule: ${rule}`,
  ];
  return `${lines.join('\n')}\n`;
}

function pictures({ states, process, page }: Divergence): string[] {
  const { before, expected, actual } = states;
  const numbers = process === null ? [...new Set([...before.keys(), ...expected.keys()])].sort() : [process];
  return numbers.flatMap((p) => {
    const rows = [
      { title: 'before', state: before.get(p) ?? null },
      { title: 'expected', state: expected.get(p) ?? null },
    ];
    if (actual !== null) rows.push({ title: 'actual', state: actual.get(p) ?? null });
    return ['', `process ${p}`, ...drawProcess(rows, page).map((line) => `  ${line}`)];
  });
}

/** The state of every process after a step, for a trace. */
export function stateText(state: TraceState): string[] {
  return [...state].flatMap(([p, process]) => drawProcess([{ title: `p${p}`, state: process }], null));
}
