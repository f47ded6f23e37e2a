/**
 * Real address spaces are vast and mostly empty. Only the places where some call begins or ends tell pages apart: between
 * two of them every page is like the next, so that a stretch of thousands is as good as one of a few dozen. Order and
 * neighbourhood stay; lengths and gaps shrink.
 */

import type { RealRange } from './decodeCall.ts';

/** Longest stretch without a boundary that is kept; short ones keep their length. */
const LONGEST_STRETCH = 64;
/** Free pages in front of the first mapping. */
const MARGIN = 16;

export class AddressMap {
  private readonly boundaries = new Set<number>();
  private pages = new Map<number, number>();
  private end = 0;

  /** The ends of a range must be told apart from what is around them. */
  add({ start, end }: RealRange): void {
    this.boundaries.add(start);
    this.boundaries.add(end);
  }

  /** Lays out everything that was added. */
  close(): void {
    let at = MARGIN;
    let before = 0;
    this.pages = new Map();
    for (const boundary of [...this.boundaries].sort((a, b) => a - b)) {
      if (this.pages.size > 0) at += Math.min(boundary - before, LONGEST_STRETCH);
      this.pages.set(boundary, at);
      before = boundary;
    }
    this.end = at + MARGIN;
  }

  /** Pages of the whole layout. */
  get size(): number {
    return this.end;
  }

  /** A range that was added, in pages of the simulated address space. */
  translate({ start, end }: RealRange): RealRange {
    return { start: this.pages.get(start)!, end: this.pages.get(end)! };
  }
}
