/**
 * Words over which tasks may conflict: touched by two of them, written by one. Learned from the access log, over all
 * executions of an exploration; words that only one task touches, or nobody writes, need no interleaving.
 */

import { ACCESS, L, LOG_ENTRY, WRITING } from '../instrument/runtime.ts';
import { SHORT, extended, extendedBytes } from './growing.ts';

/** What a step touched, beside the number of its one word. */
export const TOUCHED = { nothing: -1, several: -2 } as const;

export class Conflicts {
  /** Bit per task that read, that wrote each word. */
  private readers = new Int32Array(SHORT);
  private writers = new Int32Array(SHORT);
  /** 1: there is a conflict over the word. */
  private flags = new Uint8Array(SHORT);
  /** 1: somebody relied on there being none. */
  private relied = new Uint8Array(SHORT);
  /** A conflict was found over a word that somebody had relied on. */
  refuted = false;

  /** Forgets everything. */
  clear(): void {
    this.readers.fill(0);
    this.writers.fill(0);
    this.flags.fill(0);
    this.relied.fill(0);
    this.refuted = false;
  }

  /** True if tasks conflict over a word, as far as is known. If not, that is relied on from now on. */
  isShared(at: number): boolean {
    if (this.flags[at] === 1) return true;
    this.relied[at] = 1;
    return false;
  }

  /** Learns from entries `from` to `to` of the log, one step of `task`. @returns its word, or one of TOUCHED */
  learn(task: number, from: number, to: number): number {
    const { words } = L;
    let touched: number = TOUCHED.nothing;
    for (let i = from; i < to; i += LOG_ENTRY.words) {
      const at = words[i + LOG_ENTRY.at];
      const kind = words[i + LOG_ENTRY.kind];
      if (kind === ACCESS.fence) continue;
      const extent = kind === ACCESS.extent ? words[i + LOG_ENTRY.value] : 1;
      // Sleepers are woken in the order in which they fell asleep, so that falling asleep is like writing.
      const writes = kind === ACCESS.extent || kind === ACCESS.park || ((1 << kind) & WRITING) !== 0;
      if (at + extent > this.flags.length) this.grow(at + extent);
      for (let word = at; word < at + extent; word++) this.touch(word, 1 << task, writes);
      touched = touched === TOUCHED.nothing || touched === at ? at : TOUCHED.several;
    }
    return touched;
  }

  private touch(at: number, bit: number, writes: boolean): void {
    const others = writes ? this.readers[at] | this.writers[at] : this.writers[at];
    if (writes) this.writers[at] |= bit;
    else this.readers[at] |= bit;
    if ((others & ~bit) === 0 || this.flags[at] === 1) return;
    this.flags[at] = 1;
    if (this.relied[at] === 1) this.refuted = true;
  }

  private grow(words: number): void {
    const length = Math.max(words, this.flags.length * 2);
    this.readers = extended(this.readers, length);
    this.writers = extended(this.writers, length);
    this.flags = extendedBytes(this.flags, length);
    this.relied = extendedBytes(this.relied, length);
  }
}
