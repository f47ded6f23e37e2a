/**
 * Size planning: counts of objects in, section bases and the total out. Nothing grows later: what does not fit is
 * refused here, with the number that is wrong, before any memory is allocated.
 */

import { UsageError } from '../base/usageError.ts';
import { CACHE_NAMES, HEADER_WORDS, type CacheName } from './header.ts';
import { SLAB_PREFIX, magazineSectionWords } from './slab.ts';

/** What a machine is made of. Counts are upper bounds; allocation beyond them is a simulated -ENOMEM. */
export interface MachinePlan {
  /** Simulated CPUs (worker threads or coroutines), 1..32. Each runs one task. */
  readonly cpus: number;
  /** Objects per cache; their sizes in words come from the layouts. */
  readonly objects: Readonly<
    Record<CacheName, { readonly count: number; readonly words: number; readonly flags: number }>
  >;
  /** Words of contents per frame, 1..1024. */
  readonly pageWords: number;
  /** Entries per TLB, a power of two. */
  readonly tlbEntries: number;
  /** Objects a CPU keeps back per cache; 0 gives a freed object to whoever allocates next. */
  readonly magazine: number;
  /** Sections of fixed size: words per task, per TLB, of the globals, of one wait bucket; number of buckets. */
  readonly taskWords: number;
  readonly tlbWords: number;
  readonly globalWords: number;
  readonly waitBucketWords: number;
  readonly waitBuckets: number;
  /** Words lockdep may use for its graph; 0 when it is off. */
  readonly lockdepWords: number;
  /**
   * Objects, tasks, TLBs and magazines start at multiples of this many words: 16 (a cache line) keeps CPUs off each
   * other's lines, 1 keeps small machines small.
   */
  readonly alignWords: number;
  /** Words for the creator of the machine (shadow model, statistics). */
  readonly userWords: number;
}

/** Where each section starts, in words. */
export interface ArenaSections {
  readonly cacheBase: Readonly<Record<CacheName, number>>;
  /** Words from one object of a cache to the next. */
  readonly cacheStride: Readonly<Record<CacheName, number>>;
  readonly taskStride: number;
  readonly tlbStride: number;
  readonly magazineBase: number;
  readonly taskBase: number;
  readonly tlbBase: number;
  readonly globalBase: number;
  readonly waitTableBase: number;
  readonly lockdepBase: number;
  readonly userBase: number;
  readonly totalWords: number;
}

/** folio->mapping keeps two tag bits above which a word index must fit, and a word is 32 bits: 2 GiB of arena. */
const MAX_ARENA_WORDS = 2 ** 29;
/** A pfn has 19 bits in a page-table entry. */
const MAX_FRAMES = 2 ** 19 - 1;
const MAX_CPUS = 32;

/**
 * Lays the sections out one behind the other.
 * @throws UsageError naming the count that is out of range, or the total when the arena would be too large
 */
export function planSections(plan: MachinePlan): ArenaSections {
  checkRange('cpus', plan.cpus, 1, MAX_CPUS);
  checkRange('pageWords', plan.pageWords, 1, 1024);
  checkRange('frames', plan.objects.frame.count, 2, MAX_FRAMES);
  checkRange('tlbEntries', plan.tlbEntries, 1, 4096);
  if ((plan.tlbEntries & (plan.tlbEntries - 1)) !== 0) throw new UsageError('tlbEntries must be a power of two');
  const aligned = (words: number): number => Math.ceil(words / plan.alignWords) * plan.alignWords;
  let at = HEADER_WORDS;
  const section = (words: number): number => {
    const base = aligned(at);
    at = base + words;
    return base;
  };
  const taskStride = aligned(plan.taskWords);
  const tlbStride = aligned(plan.tlbWords);
  const magazineBase = section(magazineSectionWords(plan.cpus));
  const taskBase = section(plan.cpus * taskStride);
  const tlbBase = section(plan.cpus * tlbStride);
  const globalBase = section(plan.globalWords);
  const waitTableBase = section(plan.waitBuckets * plan.waitBucketWords);
  const cacheBase = {} as Record<CacheName, number>;
  const cacheStride = {} as Record<CacheName, number>;
  for (const name of CACHE_NAMES) {
    const { count, words } = plan.objects[name];
    checkRange(`${name} objects`, count, 0, MAX_ARENA_WORDS);
    cacheStride[name] = aligned(words + SLAB_PREFIX);
    cacheBase[name] = section(count * cacheStride[name]) + SLAB_PREFIX;
  }
  const lockdepBase = section(plan.lockdepWords);
  const userBase = section(plan.userWords);
  if (at > MAX_ARENA_WORDS) {
    const mebibytes = Math.ceil(at / 2 ** 18);
    throw new UsageError(`the machine does not fit: it needs ${mebibytes} MiB of arena, at most 2048 MiB are possible`);
  }
  return {
    cacheBase,
    cacheStride,
    taskStride,
    tlbStride,
    magazineBase,
    taskBase,
    tlbBase,
    globalBase,
    waitTableBase,
    lockdepBase,
    userBase,
    totalWords: at,
  };
}

function checkRange(what: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new UsageError(`${what} must be a whole number from ${low} to ${high}, not ${value}`);
  }
}
