/**
 * The words of the heap as they were at each access: the log is looked at when a task stops, and then later steps of the
 * same run have written already.
 */

import type { Heap } from '../arena/heap.ts';

export class Shadow {
  private readonly heap: Heap;
  private readonly words: Int32Array;
  private readonly touched: number[] = [];

  /** @param heap as each execution begins */
  constructor(heap: Heap) {
    this.heap = heap;
    this.words = new Int32Array(heap);
  }

  /** A new execution: the heap is as it was at first. */
  clear(): void {
    for (const at of this.touched) this.words[at] = this.heap[at];
    this.touched.length = 0;
  }

  read(at: number): number {
    return this.words[at];
  }

  write(at: number, value: number): void {
    this.words[at] = value;
    this.touched.push(at);
  }
}
