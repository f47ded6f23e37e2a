/**
 * Total store order as a textbook has it: a machine of memory, one FIFO buffer per thread and a program counter per thread,
 * searched exhaustively. It shares nothing with the explorer.
 */

/** An instruction on words 0..n-1. `value` is what is stored; `rmw` stores it and reads what was there. */
export interface Instruction {
  readonly kind: 'load' | 'store' | 'rmw' | 'fence';
  readonly word: number;
  readonly value: number;
}

interface State {
  readonly memory: readonly number[];
  readonly buffers: readonly (readonly (readonly [number, number])[])[];
  readonly counters: readonly number[];
  /** What loads and rmws have read, in program order, per thread. */
  readonly seen: readonly (readonly number[])[];
}

/** Every final `reads|memory` of the program, sorted. @param delayed false: no buffers, sequential consistency */
export function modelOutcomes(threads: readonly (readonly Instruction[])[], words: number, delayed = true): string[] {
  const outcomes = new Set<string>();
  const visited = new Set<string>();
  const empty = threads.map((): readonly [number, number][] => []);
  const start: State = {
    memory: new Array<number>(words).fill(0),
    buffers: empty,
    counters: threads.map(() => 0),
    seen: threads.map(() => []),
  };
  const open = [start];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = JSON.stringify(state);
    if (visited.has(key)) continue;
    visited.add(key);
    const next = threads.flatMap((code, thread) => successors(state, code, thread, delayed));
    if (next.length === 0)
      outcomes.add(`${state.seen.map((reads) => reads.join('')).join(',')}|${state.memory.join('')}`);
    open.push(...next);
  }
  return [...outcomes].sort();
}

function successors(state: State, code: readonly Instruction[], thread: number, delayed: boolean): State[] {
  const next: State[] = [];
  const buffer = state.buffers[thread];
  if (buffer.length > 0) {
    const [[word, value]] = buffer;
    next.push({
      ...state,
      memory: state.memory.with(word, value),
      buffers: state.buffers.with(thread, buffer.slice(1)),
    });
  }
  const at = state.counters[thread];
  if (at === code.length) return next;
  const { kind, word, value } = code[at];
  const moved = { ...state, counters: state.counters.with(thread, at + 1) };
  const read = (old: number): readonly (readonly number[])[] => state.seen.with(thread, [...state.seen[thread], old]);
  if (kind === 'store') {
    if (delayed) next.push({ ...moved, buffers: state.buffers.with(thread, [...buffer, [word, value]]) });
    else next.push({ ...moved, memory: state.memory.with(word, value) });
  } else if (kind === 'load') {
    const own = buffer.findLast(([stored]) => stored === word);
    next.push({ ...moved, seen: read(own === undefined ? state.memory[word] : own[1]) });
  } else if (buffer.length === 0) {
    if (kind === 'fence') next.push(moved);
    else next.push({ ...moved, memory: state.memory.with(word, value), seen: read(state.memory[word]) });
  }
  return next;
}
