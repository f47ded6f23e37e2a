/** One case of a trace file: its steps, each with the state it leads to. */

import { Malformed, anyObject, arrayOf, child, integerOf, objectOf, textOf, type JsonObject } from './malformed.ts';
import { readAction, readResult, readStepObject } from './readAction.ts';
import { INITIAL_STATE, applyDelta, readDelta } from './readDelta.ts';
import {
  MAX_PROCESSES,
  PAGE_BYTES,
  TASK_SIZE,
  WINDOW_BASE,
  WINDOW_PAGES,
  type Action,
  type Result,
  type TraceCase,
  type TraceHeader,
  type TraceState,
  type TraceStep,
} from './traceFormat.ts';

const FORMAT = 1;

/** The first line of a trace file; it may say more than we look at. @throws Malformed when it is none, or describes another machine than ours */
export function readHeader(value: unknown): TraceHeader {
  const header = anyObject(value, '');
  if (header['type'] !== 'header') throw new Malformed('type', 'the first line of a trace file is its header');
  if (header['format'] !== FORMAT) throw new Malformed('format', `this program reads format ${FORMAT}`);
  const window = anyObject(header['window'], 'window');
  expectValue(window, 'base', `0x${WINDOW_BASE.toString(16)}`);
  expectValue(window, 'pages', WINDOW_PAGES);
  expectValue(window, 'task_size', `0x${TASK_SIZE.toString(16)}`);
  return { kernel: textOf(header['kernel'], 'kernel') };
}

function expectValue(window: JsonObject, key: string, expected: string | number): void {
  if (window[key] !== expected) {
    throw new Malformed(child('window', key), `the simulated machine has ${expected}`);
  }
}

/** Where a case was read. */
export interface CasePlace {
  readonly header: TraceHeader;
  readonly file: string;
  readonly line: number;
}

/** Any other line. @throws Malformed */
export function readCase(value: unknown, { header, file, line }: CasePlace): TraceCase {
  const record = objectOf(value, '', ['id', 'family', 'memlock', 'steps', 'end']);
  const id = textOf(record['id'], 'id');
  const family = textOf(record['family'], 'family');
  const largest = Math.floor(TASK_SIZE / PAGE_BYTES);
  const memlock = record['memlock'] === null ? null : integerOf(record['memlock'], 'memlock', 0, largest);
  const processes = new Processes();
  const steps: TraceStep[] = [];
  let state = INITIAL_STATE;
  for (const [i, item] of arrayOf(record['steps'], 'steps').entries()) {
    const field = `steps[${i}]`;
    const step = readStepObject(item, field);
    const action = readAction(step, field);
    const result = readResult(step['r'], child(field, 'r'), action);
    processes.follow(action, result, field);
    const delta = child(field, 'd');
    state = applyDelta(state, readDelta(step['d'], delta), delta);
    processes.check(state, delta);
    steps.push({ action, result, after: state });
  }
  checkEnd(record['end'], state);
  return { id, family, memlock, steps, kernel: header.kernel, file, line };
}

/** Which processes live and what they pinned: a step of a dead one is no trace of anything. */
class Processes {
  private readonly pins = new Map<number, Set<number>>([[0, new Set()]]);
  private created = 1;

  follow(action: Action, result: Result, field: string): void {
    if (action.op === 'ksm') return;
    const pins = this.pins.get(action.p);
    if (pins === undefined) throw new Malformed(child(field, 'p'), `process ${action.p} is not alive`);
    const succeeded = typeof result === 'number';
    if (action.op === 'fork') {
      if (action.child !== this.created || this.created >= MAX_PROCESSES) {
        throw new Malformed(child(field, 'child'), `the next process is number ${this.created}, of ${MAX_PROCESSES}`);
      }
      if (succeeded && result !== action.child) throw new Malformed(child(field, 'r'), 'fork returns the child');
      if (succeeded) this.pins.set(this.created++, new Set());
    } else if (action.op === 'exit' && succeeded) {
      this.pins.delete(action.p);
    } else if (action.op === 'pin' && succeeded) {
      if (pins.has(action.id)) throw new Malformed(child(field, 'id'), `pin ${action.id} exists already`);
      pins.add(action.id);
    } else if (action.op === 'unpin' && !pins.delete(action.id)) {
      throw new Malformed(child(field, 'id'), `process ${action.p} holds no pin ${action.id}`);
    }
  }

  /** The state must have exactly the processes that the steps leave alive. */
  check(state: TraceState, field: string): void {
    for (const p of this.pins.keys()) {
      if (!state.has(p)) throw new Malformed(field, `process ${p} is alive after this step but has no state`);
    }
    for (const p of state.keys()) {
      if (!this.pins.has(p)) throw new Malformed(field, `process ${p} is not alive after this step but has a state`);
    }
  }
}

function checkEnd(value: unknown, state: TraceState): void {
  const end = objectOf(value, 'end', ['vmas', 'pages']);
  const all = [...state.values()];
  const counts = {
    vmas: all.reduce((sum, { vmas }) => sum + vmas.size, 0),
    pages: all.reduce((sum, { pages }) => sum + pages.size, 0),
  };
  for (const key of ['vmas', 'pages'] as const) {
    const stated = integerOf(end[key], `end.${key}`, 0, Number.MAX_SAFE_INTEGER);
    if (stated !== counts[key])
      throw new Malformed(`end.${key}`, `${stated} stated, the deltas lead to ${counts[key]}`);
  }
}
