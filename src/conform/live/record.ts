/** From the steps of a case to its recording on the running kernel. */

import { createFrameLabels, labelState } from '../frameLabels.ts';
import type { ObservedProcess } from '../observe.ts';
import { readCase } from '../readCase.ts';
import type { Action, TraceCase, TraceState } from '../traceFormat.ts';
import { caseRecord, type RecordedStep } from '../writeTrace.ts';
import { FrameNames } from './frameNames.ts';
import { isZeroPage, lettersOf, readAnswer, vmaOf, type RawStep } from './observation.ts';
import { orderOf } from './orders.ts';
import type { Recorder } from './recorder.ts';

/** What is to be carried out. */
export interface CaseScript {
  readonly id: string;
  readonly family: string;
  readonly memlock: number | null;
  readonly actions: readonly Action[];
}

/** A recorded case: its line in a trace file, as a value, and what that line says. */
export interface Recording {
  readonly record: object;
  readonly trace: TraceCase;
}

/** Carries the steps out, in processes of their own. @throws RecorderRefusal when a step cannot be */
export async function recordCase(recorder: Recorder, script: CaseScript, kernel: string): Promise<Recording> {
  const { memlock, actions } = script;
  const begin = `case ${memlock === null ? '-' : memlock.toString(16)}`;
  const answers = await recorder.ask([begin, ...actions.map(orderOf), 'end']);
  const states = new StateLabeller();
  const steps = actions.map((action, i): RecordedStep => {
    const raw = readAnswer(answers[i + 1], action);
    return { action, result: raw.result, state: states.follow(action, raw) };
  });
  const record = caseRecord(script, steps);
  return { record, trace: readCase(record, { header: { kernel }, file: '<live>', line: 0 }) };
}

/** Turns what was observed into states of the trace, step by step. */
class StateLabeller {
  private readonly frames = new FrameNames();
  private readonly labels = createFrameLabels();

  follow(action: Action, raw: RawStep): TraceState {
    this.frames.follow(action, raw);
    const observed = new Map<number, ObservedProcess>();
    for (const p of [...raw.processes.keys()].sort((a, b) => a - b)) {
      const { vmas, pages } = raw.processes.get(p)!;
      observed.set(p, {
        vmas: vmas.map(vmaOf),
        pages: pages.map((page) => ({
          page: page.page,
          frame: this.frames.nameAt(p, page.page),
          mapcount: isZeroPage(page) ? 0 : page.mapcount,
          letters: isZeroPage(page) ? '' : lettersOf(page),
          stamp: page.stamp,
        })),
        leftovers: [],
      });
    }
    return labelState(this.labels, observed, action.op === 'ksm');
  }
}
