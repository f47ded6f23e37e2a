/** Trace files (format 1) from values: what `conform --live` recorded. */

import { INITIAL_STATE } from './readDelta.ts';
import { TASK_SIZE, WINDOW_BASE, WINDOW_PAGES, type Action, type Result, type TraceState } from './traceFormat.ts';
import { writeAction } from './writeAction.ts';
import { writeDelta } from './writeDelta.ts';

/** A step that was carried out. */
export interface RecordedStep {
  readonly action: Action;
  readonly result: Result;
  readonly state: TraceState;
}

/** The first line of a file. */
export function headerRecord(kernel: string): object {
  const hex = (value: number): string => `0x${value.toString(16)}`;
  return {
    type: 'header',
    format: 1,
    kernel,
    window: { base: hex(WINDOW_BASE), pages: WINDOW_PAGES, task_size: hex(TASK_SIZE) },
  };
}

/** Any other line. */
export function caseRecord(
  { id, family, memlock }: { readonly id: string; readonly family: string; readonly memlock: number | null },
  recorded: readonly RecordedStep[],
): object {
  let before = INITIAL_STATE;
  const steps = recorded.map(({ action, result, state }) => {
    const d = writeDelta(before, state, 'p' in action ? action.p : 0);
    before = state;
    return { ...writeAction(action), r: result, ...(d === undefined ? {} : { d }) };
  });
  const all = [...before.values()];
  const end = {
    vmas: all.reduce((sum, { vmas }) => sum + vmas.size, 0),
    pages: all.reduce((sum, { pages }) => sum + pages.size, 0),
  };
  return { id, family, memlock, steps, end };
}

/** The text of a file. */
export function traceText(records: readonly object[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}
