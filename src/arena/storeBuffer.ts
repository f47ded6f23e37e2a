/**
 * Store buffers for the explored build: memory as x86 has it (TSO). A store of a task is put into the buffer of its CPU
 * and reaches memory later, oldest first, when the scheduler says so; the task itself sees it at once.
 *
 * No load searches a buffer. While a task runs, the heap is what its CPU sees: its buffered stores stand in the heap
 * and what they cover is kept aside. When it stops, they are taken out again. So everything that looks at the heap
 * while a task runs, accessors, assertions and detectors alike, sees what that CPU sees, and between two runs the heap
 * is what all see.
 *
 * Words that the layouts initialise at a stroke (a fresh table, a fresh edge) are written past the buffer: nobody else can
 * reach them yet. Such a write to a word that has a buffered store takes the store's place.
 *
 * Not modelled: the size of a buffer (here without bound), stores that pass each other (weaker machines).
 */

import { ACCESS, L, logAccess } from '../instrument/runtime.ts';
import type { Heap } from './heap.ts';

const AT = 0;
const KIND = 1;
const VALUE = 2;
const COVERED = 3;
const WORDS = 4;

/** Stores of one CPU, oldest first: word, kind of the store, value, what the word held without it. */
class StoreBuffer {
  words = new Int32Array(32 * WORDS);
  first = 0;
  end = 0;
}

/** The buffer of the task that runs; null while memory is sequentially consistent. */
let running: StoreBuffer | null = null;

/** A store of the running task: only its CPU sees it for now. */
export function bufferStore(heap: Heap, at: number, kind: number, value: number): void {
  const buffer = running!;
  if (buffer.end === buffer.words.length) makeRoom(buffer);
  const { words, end } = buffer;
  words[end + AT] = at;
  words[end + KIND] = kind;
  words[end + VALUE] = value;
  words[end + COVERED] = heap[at];
  buffer.end = end + WORDS;
  heap[at] = value;
  logAccess(at, ACCESS.buffered, value);
}

/** Full barrier of the running task: everybody sees its stores. They already stand in the heap. */
export function drainOwnStores(): void {
  if (running === null) return;
  const { words, first, end } = running;
  for (let i = first; i < end; i += WORDS) logAccess(words[i + AT], words[i + KIND], words[i + VALUE]);
  running.first = 0;
  running.end = 0;
}

function makeRoom(buffer: StoreBuffer): void {
  const { words, first, end } = buffer;
  const used = words.subarray(first, end);
  const roomy = first > words.length / 2 ? words : new Int32Array(words.length * 2);
  roomy.set(used);
  buffer.words = roomy;
  buffer.first = 0;
  buffer.end = end - first;
}

/** The buffers of a machine's CPUs, one for each task of an exploration. */
export class StoreBuffers {
  private readonly heap: Heap;
  private readonly buffers: StoreBuffer[];

  constructor(heap: Heap, tasks: number) {
    this.heap = heap;
    this.buffers = Array.from({ length: tasks }, () => new StoreBuffer());
  }

  /** Forgets all stores: the heap was put back. */
  clear(): void {
    running = null;
    L.buffered = false;
    for (const buffer of this.buffers) {
      buffer.first = 0;
      buffer.end = 0;
    }
  }

  /** True when all stores of a task have reached memory. */
  isEmpty(task: number): boolean {
    const { first, end } = this.buffers[task];
    return first === end;
  }

  /** The heap becomes what the CPU of `task` sees, which runs now. */
  enter(task: number): void {
    const { heap } = this;
    const buffer = this.buffers[task];
    const { words, end } = buffer;
    for (let i = buffer.first; i < end; i += WORDS) {
      const at = words[i + AT];
      words[i + COVERED] = heap[at];
      heap[at] = words[i + VALUE];
    }
    running = buffer;
    L.buffered = true;
  }

  /** The running task, if there is one, stops: the heap is again what all see. */
  leave(): void {
    const { heap } = this;
    const buffer = running;
    if (buffer === null) return;
    const { words, first } = buffer;
    let overwritten: Overwritten | null = null;
    for (let i = buffer.end - WORDS; i >= first; i -= WORDS) {
      const at = words[i + AT];
      if (overwritten?.words.has(at) !== true && heap[at] === words[i + VALUE]) {
        heap[at] = words[i + COVERED];
        continue;
      }
      overwritten ??= { words: new Set(), entries: new Set() };
      overwritten.words.add(at);
      overwritten.entries.add(i);
    }
    if (overwritten !== null) dropEntries(buffer, overwritten.entries);
    running = null;
    L.buffered = false;
  }

  /** The oldest store of a task reaches memory, while no task runs; logged as the access it is. */
  drainOldest(task: number): void {
    const buffer = this.buffers[task];
    const { words, first } = buffer;
    this.heap[words[first + AT]] = words[first + VALUE];
    logAccess(words[first + AT], words[first + KIND], words[first + VALUE]);
    buffer.first = first + WORDS;
  }

  /** Everything reaches memory: the execution is over. */
  drainAll(): void {
    for (let task = 0; task < this.buffers.length; task++) while (!this.isEmpty(task)) this.drainOldest(task);
  }
}

/** What was written past the buffer: the words, and the stores of the buffer that are older. */
interface Overwritten {
  readonly words: Set<number>;
  readonly entries: Set<number>;
}

function dropEntries(buffer: StoreBuffer, dropped: ReadonlySet<number>): void {
  const { words, end } = buffer;
  buffer.end = buffer.first;
  for (let from = buffer.first; from < end; from += WORDS) {
    if (dropped.has(from)) continue;
    words.copyWithin(buffer.end, from, from + WORDS);
    buffer.end += WORDS;
  }
}
