/** A booted machine before anybody runs on it. */
import { describe, expect, it } from 'vitest';
import { CACHES, HEADER } from '../../src/arena/header.ts';
import { slabAllocatedCount, slabIsAllocated, slabObjects } from '../../src/arena/slab.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { anonVmaRwSem, anonVmaSpinLock } from '../../src/layout/anonVma.ts';
import { GLOBAL, WAIT_BUCKET_WORDS, globalAt, waitBucketLock } from '../../src/layout/globals.ts';
import type { AnonVmaPtr } from '../../src/layout/ids.ts';
import { CLASS_ANON_VMA_RWSEM, CLASS_ANON_VMA_SPIN, CLASS_FOLIO_WAIT_TABLE } from '../../src/layout/lockClass.ts';
import { RWSEM, SPIN } from '../../src/layout/lockWords.ts';
import {
  PG_reserved,
  PG_uptodate,
  pageAt,
  pageContent,
  readOncePageFlags,
  readOncePageRefcount,
  zeroPfn,
} from '../../src/layout/page.ts';
import { bootMachine } from '../../src/mm/boot.ts';

describe('boot', () => {
  const heap = createMachine(SMALL_MACHINE);
  bootMachine(heap);

  it('makes frame 1 the zero page', () => {
    const zero = zeroPfn(heap);
    expect(zero).toBe(1);
    expect(slabIsAllocated(heap, pageAt(heap, zero))).toBe(true);
    expect(slabAllocatedCount(heap, CACHES.frame)).toBe(1);
    expect(readOncePageFlags(heap, zero)).toBe(PG_reserved | PG_uptodate);
    expect(readOncePageRefcount(heap, zero)).toBe(1);
    expect(pageContent(heap, zero, 3)).toBe(0);
  });

  it('gives the locks of type-safe objects their classes once and for all', () => {
    for (const object of slabObjects(heap, CACHES.anonVma)) {
      const anonVma = object as AnonVmaPtr;
      expect(heap[anonVmaRwSem(anonVma) + RWSEM.cls]).toBe(CLASS_ANON_VMA_RWSEM);
      expect(heap[anonVmaSpinLock(anonVma) + SPIN.cls]).toBe(CLASS_ANON_VMA_SPIN);
    }
  });

  it('gives each folio wait queue its lock', () => {
    const first = heap[HEADER.waitTableBase];
    for (let i = 0; i < SMALL_MACHINE.waitBuckets; i++) {
      expect(heap[waitBucketLock(first + i * WAIT_BUCKET_WORDS) + SPIN.cls]).toBe(CLASS_FOLIO_WAIT_TABLE);
    }
  });

  it('starts all numbers at 1, for 0 means none', () => {
    for (const counter of [GLOBAL.rcuPeriod, GLOBAL.nextAsid, GLOBAL.nextProcess]) {
      expect(heap[globalAt(heap, counter)]).toBe(1);
    }
  });
});
