/**
 * Which page frame is still the same one after a step (format, section 6). The kernel reuses frames at once, so a frame
 * number alone says nothing: what counts is that an entry was not touched, or where mremap or fork took it from.
 */

import type { Action } from '../traceFormat.ts';
import { isKsmPage, isZeroPage, type RawPage, type RawStep } from './observation.ts';

/** A frame in one use of it. */
interface Named {
  readonly pfn: string;
  readonly isKsm: boolean;
  readonly name: string;
}

/** Names of the frames behind all entries after a step, and what it takes to name those of the next step. */
export class FrameNames {
  private entries = new Map<string, Named>();
  private next = 0;

  /** Follows a step; afterwards `nameAt` knows its entries. */
  follow(action: Action, { result, processes }: RawStep): void {
    const present = new Map<string, RawPage>();
    for (const [p, { pages }] of processes) {
      for (const page of pages) if (!isZeroPage(page)) present.set(place(p, page.page), page);
    }
    const names = new Map<string, string>();
    const isGone = (at: string): boolean => this.entries.has(at) && !present.has(at);
    for (const [p, { pages }] of processes) {
      for (const page of pages) {
        const origin = originOf(action, result, p, page.page, isGone);
        const before = origin === null ? undefined : this.entries.get(origin);
        if (before?.pfn === page.pfn && before.isKsm === isKsmPage(page)) names.set(page.pfn, before.name);
      }
    }
    this.entries = new Map();
    for (const [at, page] of present) {
      const name = names.get(page.pfn) ?? String(this.next++);
      names.set(page.pfn, name);
      this.entries.set(at, { pfn: page.pfn, isKsm: isKsmPage(page), name });
    }
  }

  /** The frame of an entry; null: the zero page. */
  nameAt(p: number, page: number): string | null {
    return this.entries.get(place(p, page))?.name ?? null;
  }
}

function place(p: number, page: number): string {
  return `${p}:${page}`;
}

/** The entry before the step that this one may come from; null: none, what is here was made by the step. */
function originOf(
  action: Action,
  result: RawStep['result'],
  p: number,
  page: number,
  isGone: (at: string) => boolean,
): string | null {
  if (action.op === 'fork' && result === p) return place(action.p, page);
  if (!('p' in action) || action.p !== p) return place(p, page);
  if (action.op === 'mmap' && typeof result === 'number' && isIn(page, result, pagesIn(action.len))) return null;
  if (action.op !== 'mremap') return place(p, page);
  const from = pagesFrom(action.at);
  const oldPages = pagesIn(action.len);
  const to = typeof result === 'number' ? result : pagesFrom(action.to);
  if (to === null || from === null || to === from || !isIn(page, to, pagesIn(action.newLen))) return place(p, page);
  // Behind the old length: what locked memory that grew was populated with.
  if (typeof result === 'number' && page - to >= oldPages && oldPages > 0) return null;
  const source = place(p, page - to + from);
  return isGone(source) ? source : place(p, page);
}

function isIn(page: number, start: number, count: number): boolean {
  return page >= start && page < start + count;
}

/** Page index of an address in the window, null for any other. */
function pagesFrom(operand: { readonly text: string } | null): number | null {
  return operand !== null && /^\d+$/.test(operand.text) ? Number(operand.text) : null;
}

/** Pages of a length, rounded up. */
function pagesIn({ bytes }: { readonly bytes: number }): number {
  return Math.ceil(bytes / 4096);
}
