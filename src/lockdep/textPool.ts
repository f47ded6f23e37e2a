/**
 * Text in the arena: names of functions and the traces made of them, each stored once. Append-only, so whoever has a
 * number may read its text without a lock; writers hold the section's raw lock. When the pool is full new text is 0,
 * which reads as nothing: a report without a place is better than no report.
 */

import { SECTION, type LockdepSection } from './section.ts';

const BYTES_PER_WORD = 4;

/** Stores a trace, innermost frame first. Returns its number, 0 when there is no room. @locked the section */
export function internTrace(section: LockdepSection, frames: readonly string[]): number {
  const words = frames.map((frame) => internWords(section, packText(frame)));
  return words.length === 0 || words.includes(0) ? 0 : internWords(section, words);
}

/** Frames of a trace; none for 0. */
export function readTrace({ heap, text }: LockdepSection, trace: number): string[] {
  if (trace === 0) return [];
  const at = text + trace;
  return Array.from({ length: heap[at] }, (_, i) => unpackText(heap, text + heap[at + 1 + i]));
}

/** Finds or appends a sequence of words. An entry is its length, then the words. */
function internWords(
  { heap, base, text, textTable, textSlots, size }: LockdepSection,
  words: readonly number[],
): number {
  let slot = hashWords(words) & (textSlots - 1);
  for (let probes = 0; heap[textTable + slot] !== 0; probes++) {
    const entry = heap[textTable + slot];
    if (entryEquals(heap, text + entry, words)) return entry;
    if (probes === textSlots - 1) return 0;
    slot = (slot + 1) & (textSlots - 1);
  }
  const entry = heap[base + SECTION.textUsed];
  const next = entry + words.length + 1;
  if (next > size.textWords) return 0;
  heap[text + entry] = words.length;
  heap.set(words, text + entry + 1);
  heap[base + SECTION.textUsed] = next;
  Atomics.store(heap, textTable + slot, entry);
  return entry;
}

function entryEquals(heap: Int32Array, at: number, words: readonly number[]): boolean {
  return heap[at] === words.length && words.every((word, i) => heap[at + 1 + i] === word);
}

function hashWords(words: readonly number[]): number {
  let hash = words.length;
  for (const word of words) hash = Math.imul(hash ^ word, 0x9e37_79b1) ^ (hash >>> 15);
  return hash ^ (hash >>> 16);
}

/** Number of characters, then four characters to a word. Function names and paths: other than ASCII becomes `?`. */
function packText(text: string): number[] {
  const words = new Array<number>(1 + Math.ceil(text.length / BYTES_PER_WORD)).fill(0);
  words[0] = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    words[1 + (i >> 2)] |= (code < 0x80 ? code : 0x3f) << ((i & 3) * 8);
  }
  return words;
}

function unpackText(heap: Int32Array, at: number): string {
  const codes = Array.from({ length: heap[at + 1] }, (_, i) => (heap[at + 2 + (i >> 2)] >>> ((i & 3) * 8)) & 0xff);
  return String.fromCharCode(...codes);
}
