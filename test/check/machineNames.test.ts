/** Every word of a machine has a name in the kernel's words, and its values are read as what they are. */
import { beforeEach, describe, expect, it } from 'vitest';
import { HEADER, CACHES, CACHE_NAMES, cacheAt, CACHE } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { POISON, slabAlloc, slabFree } from '../../src/arena/slab.ts';
import { OBJECT_FIELDS } from '../../src/check/fieldNames.ts';
import { machineNames } from '../../src/check/machineNames.ts';
import { placeName, plainNames, type WordNames } from '../../src/check/wordNames.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { ANON_VMA, AVC } from '../../src/layout/anonVma.ts';
import { GLOBAL, globalAt, waitBucket } from '../../src/layout/globals.ts';
import type { MmPtr, PageTablePtr, Pfn, TaskId, Vpn } from '../../src/layout/ids.ts';
import { RWSEM, RWSEM_READER, RWSEM_WAITERS, RWSEM_WRITER } from '../../src/layout/lockWords.ts';
import { MM } from '../../src/layout/mm.ts';
import { PAGE, PAGE_STRUCT_WORDS, PG_locked, PG_lru, makeAnonMapping, pageAt } from '../../src/layout/page.ts';
import type { AnonVmaPtr } from '../../src/layout/ids.ts';
import { LEVEL_PMD, LEVEL_PTE, TABLE, entryAt, initTable } from '../../src/layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_TYPE_MIGRATION_WRITE,
  PTE_WRITE,
  PTE_YOUNG,
  makeNonPresentPte,
  makePte,
} from '../../src/layout/pte.ts';
import { TASK, taskAt } from '../../src/layout/task.ts';
import { TLB, tlbAt } from '../../src/layout/tlb.ts';
import { VMA, VM_READ, VM_WRITE } from '../../src/layout/vma.ts';

let heap: Heap;
let names: WordNames;

const alloc = (cache: (typeof CACHES)[keyof typeof CACHES]): number => slabAlloc(heap, 0, cache);
const nameOf = (at: number): string => placeName(names.place(at));

beforeEach(() => {
  heap = createMachine(SMALL_MACHINE);
  names = machineNames(heap);
});

describe('objects', () => {
  it('a VMA with its range', () => {
    const vma = alloc(CACHES.vma);
    heap[vma + VMA.start] = 16;
    heap[vma + VMA.end] = 24;
    expect(nameOf(vma + VMA.start)).toBe('vma#1 [16-24).vm_start');
    expect(nameOf(vma + VMA.pgoff)).toBe('vma#1 [16-24).vm_pgoff');
    expect(placeName(names.place(vma + VMA.avcFirst), false)).toBe('vma#1.anon_vma_chain.next');
    expect(names.value(vma + VMA.flags, VM_READ | VM_WRITE)).toBe('r|w');
  });

  it('locks inside objects', () => {
    const mm = alloc(CACHES.mm);
    const anonVma = alloc(CACHES.anonVma);
    expect(nameOf(mm + MM.mmapLock + RWSEM.count)).toBe('mm#1.mmap_lock.count');
    expect(nameOf(mm + MM.pageTableLock)).toBe('mm#1.page_table_lock');
    expect(nameOf(anonVma + ANON_VMA.rwsem)).toBe('anon_vma#1.rwsem.count');
    expect(names.lock(mm + MM.mmapLock)).toBe('mm#1.mmap_lock');
    expect(names.lock(anonVma + ANON_VMA.rwsem)).toBe('anon_vma#1.rwsem');
    expect(names.lock(anonVma + ANON_VMA.lock)).toBe('anon_vma#1.lock');
    expect(names.value(mm + MM.mmapLock, RWSEM_WRITER | RWSEM_WAITERS)).toBe('writer, waiters');
    expect(names.value(mm + MM.mmapLock, 2 * RWSEM_READER)).toBe('2 readers');
    expect(names.value(mm + MM.pageTableLock, 2)).toBe('held, contended');
  });

  it('pages by their frame', () => {
    const page = pageAt(heap, 3 as Pfn);
    const anonVma = alloc(CACHES.anonVma) as AnonVmaPtr;
    expect(nameOf(page + PAGE.refcount)).toBe('page pfn 3._refcount');
    expect(nameOf(page + PAGE_STRUCT_WORDS + 2)).toBe('page pfn 3 contents word 2');
    expect(names.value(page + PAGE.flags, PG_locked | PG_lru)).toBe('PG_locked|PG_lru');
    expect(names.value(page + PAGE.mapping, makeAnonMapping(anonVma))).toBe('anon_vma#1');
    expect(names.lock(page + PAGE.flags)).toBe('folio pfn 3');
  });

  it('entries by the address they map, tables by whose they are', () => {
    const mm = alloc(CACHES.mm) as MmPtr;
    const table = alloc(CACHES.pageTable) as PageTablePtr;
    const upper = alloc(CACHES.pageTable) as PageTablePtr;
    initTable(heap, table, LEVEL_PTE, mm, 512 as Vpn);
    initTable(heap, upper, LEVEL_PMD, mm, 0 as Vpn);
    const entry = entryAt(table, 517 as Vpn, LEVEL_PTE);
    expect(nameOf(entry)).toBe('mm#1 pte of vpn 517');
    expect(nameOf(entryAt(upper, 517 as Vpn, LEVEL_PMD))).toBe('mm#1 pmd of vpn 512');
    expect(names.value(entryAt(upper, 517 as Vpn, LEVEL_PMD), table)).toBe('table#1');
    expect(nameOf(table + TABLE.mm)).toBe('table#1 (pte table of mm#1 from vpn 512).mm');
    expect(names.lock(table + TABLE.lock)).toBe('mm#1 ptl (table#1)');
    expect(names.lock(upper + TABLE.lock)).toBe('mm#1 pmd lock (table#2)');
    const pfn = 9 as Pfn;
    expect(names.value(entry, makePte(pfn, PTE_WRITE | PTE_YOUNG | PTE_DIRTY))).toBe('present rw pfn 9 AD');
    expect(names.value(entry, makePte(pfn, 0))).toBe('present ro pfn 9');
    expect(names.value(entry, 0)).toBe('none');
    expect(names.value(entry, makeNonPresentPte(PTE_TYPE_MIGRATION_WRITE, 7, 0))).toBe(
      'write migration entry for pfn 7',
    );
  });

  it('a slot in its later lives, and one that is nobody’s', () => {
    const first = alloc(CACHES.anonVmaChain);
    expect(nameOf(first + AVC.vma)).toBe('avc#1.vma');
    slabFree(heap, 0, CACHES.anonVmaChain, first);
    expect(nameOf(first + AVC.vma)).toBe('avc#1 (freed).vma');
    expect(names.value(first + AVC.vma, heap[first + AVC.vma])).toBe('poison');
    expect(alloc(CACHES.anonVmaChain)).toBe(first);
    expect(nameOf(first + AVC.vma)).toBe('avc#1b.vma');
  });
});

describe('other sections', () => {
  it('tasks, TLBs, wait queues, globals, free lists', () => {
    expect(nameOf(taskAt(heap, 2 as TaskId) + TASK.wake)).toBe('task 2.wake');
    expect(nameOf(tlbAt(heap, 1) + TLB.lock)).toBe('TLB of CPU2.lock');
    expect(nameOf(tlbAt(heap, 0) + TLB.entries + 2)).toBe('TLB of CPU1 entry 0.pte'.replace(' entry', ' entry'));
    expect(nameOf(waitBucket(heap, 5 as Pfn))).toMatch(/^folio_wait_table\[\d+\]\.lock$/);
    expect(nameOf(globalAt(heap, GLOBAL.rcuPeriod))).toBe('rcu_state.gp_seq');
    expect(names.lock(globalAt(heap, GLOBAL.mmAllLocksMutex))).toBe('mm_all_locks_mutex');
    expect(nameOf(cacheAt(CACHES.vma) + CACHE.freeHead)).toBe('slab vma free list');
  });

  it('every word has a name, and every value words', () => {
    for (let at = 0; at < heap.length; at++) {
      expect(placeName(names.place(at))).not.toMatch(/undefined|NaN/);
      expect(names.value(at, POISON)).not.toBe('');
    }
    expect(heap[HEADER.words]).toBe(heap.length);
  });

  it('every cache has named fields', () => {
    expect(CACHE_NAMES.filter((name) => OBJECT_FIELDS[name] === undefined)).toEqual([]);
  });
});

describe('lock operations that are changes of a word', () => {
  it('folio lock, per-VMA lock, RCU, downgrade', () => {
    const flags = pageAt(heap, 3 as Pfn) + PAGE.flags;
    const vma = alloc(CACHES.vma);
    const mm = alloc(CACHES.mm);
    const rcu = taskAt(heap, 1 as TaskId) + TASK.rcuActive;
    expect(names.lockChange(flags, PG_lru, PG_lru | PG_locked)).toEqual({ action: 'acquired', mode: '' });
    expect(names.lockChange(flags, PG_locked, 0)).toEqual({ action: 'released', mode: '' });
    expect(names.lockChange(flags, PG_locked, PG_locked | PG_lru)).toBeNull();
    expect(names.lockChange(vma + VMA.refcnt, 0, 1)).toBeNull();
    expect(names.lockChange(vma + VMA.refcnt, 1, 2)).toEqual({ action: 'acquired', mode: 'read' });
    expect(names.lockChange(vma + VMA.refcnt, (1 << 30) + 2, (1 << 30) + 1)).toEqual({
      action: 'released',
      mode: 'read',
    });
    expect(names.lockChange(rcu, 0, 4)).toEqual({ action: 'acquired', mode: '' });
    expect(names.lockChange(mm + MM.mmapLock, RWSEM_WRITER, RWSEM_READER)).toEqual({
      action: 'downgraded',
      mode: 'read',
    });
    expect(names.lockChange(mm + MM.mmapLock, RWSEM_WRITER, 0)).toBeNull();
  });
});

it('plain names', () => {
  const plain = plainNames({ x: 40 });
  expect([40, 41].map((at) => placeName(plain.place(at)))).toEqual(['x', 'word 41']);
  expect(plain.lock(40)).toBe('x');
  expect(plain.value(40, -3)).toBe('-3');
  expect(plain.lockChange(40, 0, 1)).toBeNull();
});
