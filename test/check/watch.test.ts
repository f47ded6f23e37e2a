import { beforeEach, describe, expect, test } from 'vitest';
import { CACHES, HEADER } from '../../src/arena/header.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import type { Violation } from '../../src/base/finding.ts';
import { pinsOf } from '../../src/check/ledger.ts';
import { createChecker, type CheckCounts } from '../../src/check/watch.ts';
import type { CheckHook } from '../../src/cpu/hooks.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import type { Pfn, PtePtr, PteVal } from '../../src/layout/ids.ts';
import { ANON_VMA } from '../../src/layout/anonVma.ts';
import { MM } from '../../src/layout/mm.ts';
import { PAGE, PG_anonExclusive, PG_locked, pageAt, pfnAt } from '../../src/layout/page.ts';
import {
  PTE_NONE,
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_WRITE,
  PTE_WRITE,
  makeNonPresentPte,
  makePte,
  ptePfn,
} from '../../src/layout/pte.ts';
import { TLB_ENTRY, tlbSlot } from '../../src/layout/tlb.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { forgeWorld, type ForgedWorld } from './forge.ts';
import { HOLD } from './lockHolds.ts';

let world: ForgedWorld;
let task: Task;
let checker: CheckHook;
let seen: Violation[];
let counts: CheckCounts;

beforeEach(() => {
  world = forgeWorld();
  task = createTask({ heap: world.heap, id: 1, rules: LINUX_7_0, seed: 1 });
  seen = [];
  counts = {};
  checker = createChecker((violation) => seen.push(violation), counts);
});

function signatures(): string[] {
  return seen.map(({ signature }) => signature);
}

function migrationEntry(): PteVal {
  return makeNonPresentPte(PTE_TYPE_MIGRATION_WRITE, world.pfn, 0);
}

function setFlags(set: number, clear: number): void {
  const at = pageAt(world.heap, world.pfn) + PAGE.flags;
  world.heap[at] = (world.heap[at] | set) & ~clear;
}

function cache(cpu: number, pte: PteVal): void {
  const slot = tlbSlot(world.heap, cpu, world.vpn);
  world.heap[slot + TLB_ENTRY.asid] = world.heap[world.mm + MM.asid];
  world.heap[slot + TLB_ENTRY.vpn] = world.vpn;
  world.heap[slot + TLB_ENTRY.pte] = pte;
}

describe('migration', () => {
  test('an entry whose source is locked is right', () => {
    setFlags(PG_locked, 0);
    checker.migrationEntrySeen(task, world.mm, world.vpn, migrationEntry());
    expect(seen).toEqual([]);
  });

  test('an entry whose source is not locked dangles', () => {
    checker.migrationEntrySeen(task, world.mm, world.vpn, migrationEntry());
    expect(seen.map(({ kind }) => kind)).toEqual(['dangling-migration-entry']);
    expect(seen[0].title).toContain('page 9 of process 1');
  });

  test('unlock of the source: no entry anywhere', () => {
    checker.migrationSourceUnlock(task, world.pfn);
    expect(seen).toEqual([]);
  });

  test('unlock of the source with an entry left in some table', () => {
    world.heap[world.pte] = migrationEntry();
    checker.migrationSourceUnlock(task, world.pfn);
    expect(seen.map(({ kind }) => kind)).toEqual(['dangling-migration-entry']);
    expect(seen[0].title).toContain('page 9 of process 1');
  });

  test('entries of other sources do not matter', () => {
    world.heap[world.pte] = makeNonPresentPte(PTE_TYPE_MIGRATION_WRITE, world.pfn + 1, 0);
    checker.migrationSourceUnlock(task, world.pfn);
    expect(seen).toEqual([]);
  });

  test('copy while a CPU still translates to the source', () => {
    cache(2, makePte(world.pfn, PTE_WRITE));
    checker.migrationCopy(task, world.pfn, (world.pfn + 1) as Pfn);
    expect(signatures()).toEqual(['stale TLB entry: its contents are copied by migration']);
    expect(seen[0].title).toContain('CPU 2');
  });
});

describe('migration, at the copy', () => {
  test('one writable entry, and the anon_vma alive', () => {
    world.heap[world.pte] = migrationEntry();
    checker.migrationCopy(task, world.pfn, (world.pfn + 1) as Pfn);
    expect(seen).toEqual([]);
  });

  test('a writable entry beside another one', () => {
    world.heap[world.pte] = migrationEntry();
    world.heap[world.pte + 1] = makeNonPresentPte(PTE_TYPE_MIGRATION_READ, world.pfn, 0);
    checker.migrationCopy(task, world.pfn, (world.pfn + 1) as Pfn);
    expect(signatures()).toEqual(['exclusive entry beside another']);
  });

  test('a page that nothing maps needs no anon_vma any more', () => {
    world.heap[world.pte] = 0;
    world.heap[world.anonVma + ANON_VMA.refcount] = 0;
    checker.migrationCopy(task, world.pfn, (world.pfn + 1) as Pfn);
    expect(seen).toEqual([]);
  });

  test('nobody holds the anon_vma', () => {
    world.heap[world.pte] = migrationEntry();
    world.heap[world.anonVma + ANON_VMA.refcount] = 0;
    checker.migrationCopy(task, world.pfn, (world.pfn + 1) as Pfn);
    expect(signatures()).toEqual(['anon_vma not pinned by migration']);
  });
});

describe('migration, the copy made', () => {
  function forgeCopy(): Pfn {
    const { heap, pfn } = world;
    const page = slabAlloc(heap, 0, CACHES.frame);
    heap.copyWithin(page, pageAt(heap, pfn), pageAt(heap, pfn) + PAGE.index + 1);
    return pfnAt(heap, page);
  }

  test('mapping and index are the same', () => {
    checker.migrationCopied(task, world.pfn, forgeCopy());
    expect(seen).toEqual([]);
  });

  test.each([
    ['mapping', PAGE.mapping],
    ['index', PAGE.index],
  ] as const)('another %s', (what, word) => {
    const copy = forgeCopy();
    world.heap[pageAt(world.heap, copy) + word]++;
    checker.migrationCopied(task, world.pfn, copy);
    expect(seen.map(({ kind }) => kind)).toEqual(['rmap-miss']);
    expect(signatures()).toEqual([`migrated page: another ${what}`]);
  });

  test('nobody translates to the source: other pages do not matter', () => {
    world.heap[world.pte] = migrationEntry();
    cache(2, makePte((world.pfn + 1) as Pfn, PTE_WRITE));
    checker.migrationCopy(task, world.pfn, (world.pfn + 1) as Pfn);
    expect(seen).toEqual([]);
  });
});

describe('entries and counts', () => {
  // The page stays the same: nothing is mapped or unmapped.
  const set = (after: PteVal): void =>
    checker.pteSet(task, world.mm, world.vpn, world.pte as PtePtr, makePte(ptePfn(after), 0), after);
  beforeEach(() => HOLD.ptl(task, world));

  test('writable entry of an exclusive page', () => {
    set(makePte(world.pfn, PTE_WRITE));
    expect(seen).toEqual([]);
  });

  test('writable entry of a shared page', () => {
    setFlags(0, PG_anonExclusive);
    set(makePte(world.pfn, PTE_WRITE));
    expect(signatures()).toEqual(['writable entry of a shared page']);
  });

  test('read-only entry of a shared page, and none at all', () => {
    setFlags(0, PG_anonExclusive);
    set(makePte(world.pfn, 0));
    set(PTE_NONE);
    expect(seen).toEqual([]);
  });

  test('as many references as mappings', () => {
    checker.rmapChanged(task, world.pfn, world.vma, 1);
    expect(seen).toEqual([]);
  });

  test('the zero page takes part', () => {
    checker.rmapChanged(task, world.heap[HEADER.zeroPfn] as Pfn, world.vma, 1);
    expect(signatures()).toEqual(['zero page in rmap']);
  });

  test('entry for a frame that is free', () => {
    slabFree(world.heap, 0, CACHES.frame, pageAt(world.heap, world.pfn));
    set(makePte(world.pfn, 0));
    expect(signatures()).toEqual(['entry for a free frame']);
  });

  test('entry for a frame that does not exist', () => {
    set(makePte(5000 as Pfn, 0));
    expect(signatures()).toEqual(['entry for no frame']);
  });

  test.each([
    ['mapcount below zero', -1, 1, 'mapcount underflow'],
    ['more mappings than references', 3, 1, 'refcount below mapcount'],
  ])('%s', (_what, mapcount, refcount, signature) => {
    world.heap[pageAt(world.heap, world.pfn) + PAGE.mapcount] = mapcount;
    world.heap[pageAt(world.heap, world.pfn) + PAGE.refcount] = refcount;
    checker.rmapChanged(task, world.pfn, world.vma, 1);
    expect(signatures()).toEqual([signature]);
  });
});

describe('freeing', () => {
  test('a page that nobody maps or caches', () => {
    world.heap[pageAt(world.heap, world.pfn) + PAGE.mapcount] = 0;
    checker.pageFreed(task, world.pfn);
    expect(seen).toEqual([]);
  });

  test('a page that is still mapped', () => {
    checker.pageFreed(task, world.pfn);
    expect(signatures()).toEqual(['page freed while it is mapped']);
  });

  test('a page that is locked', () => {
    world.heap[pageAt(world.heap, world.pfn) + PAGE.mapcount] = 0;
    setFlags(PG_locked, 0);
    checker.pageFreed(task, world.pfn);
    expect(signatures()).toEqual(['page freed while it is locked']);
  });

  test('a page that a TLB still maps', () => {
    world.heap[pageAt(world.heap, world.pfn) + PAGE.mapcount] = 0;
    cache(3, makePte(world.pfn, 0));
    checker.pageFreed(task, world.pfn);
    expect(signatures()).toEqual(['stale TLB entry: the page is freed']);
  });

  test('a page table with an entry', () => {
    checker.tableFreed(task, world.pteTable);
    expect(signatures()).toEqual(['page table freed with entries']);
  });

  test('an empty page table', () => {
    world.heap[world.pte] = 0;
    checker.tableFreed(task, world.pteTable);
    expect(seen).toEqual([]);
  });

  test('an anon_vma with VMAs in its tree', () => {
    checker.anonVmaFreed(task, world.anonVma);
    expect(signatures()).toEqual([
      'anon_vma freed with a tree',
      'anon_vma freed with active VMAs',
      'anon_vma freed with references',
    ]);
  });
});

describe('freeing what is right', () => {
  test('an anon_vma that nobody needs', () => {
    const { heap, anonVma } = world;
    for (const word of [ANON_VMA.rbRoot, ANON_VMA.numActiveVmas, ANON_VMA.refcount]) heap[anonVma + word] = 0;
    checker.anonVmaFreed(task, anonVma);
    expect(seen).toEqual([]);
  });

  test('an upper table, whatever is in it', () => {
    checker.tableFreed(task, world.heap[world.mm + MM.pgd] as typeof world.pteTable);
    expect(seen).toEqual([]);
  });
});

describe('user memory, fork, mremap, pins', () => {
  test('an access through the TLB to an allocated frame', () => {
    checker.userAccess(task, world.mm, world.vpn, makePte(world.pfn, PTE_WRITE), true, 0, 1);
    expect(seen).toEqual([]);
  });

  test('after fork: a writable translation of a page that is still exclusive, or of another process', () => {
    cache(1, makePte(world.pfn, PTE_WRITE));
    checker.forkFlushed(task, world.mm, world.mm);
    setFlags(0, PG_anonExclusive);
    world.heap[tlbSlot(world.heap, 1, world.vpn) + TLB_ENTRY.asid]++;
    checker.forkFlushed(task, world.mm, world.mm);
    expect(seen).toEqual([]);
  });

  test('after a move: translations beside the range, or of another process', () => {
    cache(1, makePte(world.pfn, 0));
    checker.ptesMoved(task, world.mm, (world.vpn + 1) as typeof world.vpn, 4);
    world.heap[tlbSlot(world.heap, 1, world.vpn) + TLB_ENTRY.asid]++;
    checker.ptesMoved(task, world.mm, world.vpn, 1);
    expect(seen).toEqual([]);
  });

  test('after a move: translations that somebody else has still to flush', () => {
    cache(1, makePte(world.pfn, 0));
    world.heap[world.mm + MM.tlbFlushPending] = 1;
    checker.ptesMoved(task, world.mm, world.vpn, 1);
    expect(seen).toEqual([]);
  });

  test('an access through the TLB to a freed frame', () => {
    slabFree(world.heap, 0, CACHES.frame, pageAt(world.heap, world.pfn));
    checker.userAccess(task, world.mm, world.vpn, makePte(world.pfn, PTE_WRITE), true, 0, 1);
    expect(signatures()).toEqual(['user writes to a free frame']);
  });

  test('after fork: a writable translation of a shared page', () => {
    setFlags(0, PG_anonExclusive);
    cache(1, makePte(world.pfn, PTE_WRITE));
    checker.forkFlushed(task, world.mm, world.mm);
    expect(signatures()).toEqual(['writable TLB entry after fork']);
  });

  test('after fork: read-only translations may stay', () => {
    setFlags(0, PG_anonExclusive);
    cache(1, makePte(world.pfn, 0));
    checker.forkFlushed(task, world.mm, world.mm);
    expect(seen).toEqual([]);
  });

  test('a translation of a page whose entry moved away', () => {
    cache(1, makePte(world.pfn, 0));
    checker.ptesMoved(task, world.mm, world.vpn, 1);
    expect(signatures()).toEqual(['TLB entry of a moved page']);
  });

  test('pins are counted', () => {
    checker.pinned(task, world.mm, world.vpn, world.pfn);
    checker.pinned(task, world.mm, world.vpn, world.pfn);
    checker.unpinned(task, world.pfn);
    expect(pinsOf(world.heap, world.pfn)).toBe(1);
    expect(seen).toEqual([]);
  });

  test('a pin of a page that is not exclusive', () => {
    setFlags(0, PG_anonExclusive);
    checker.pinned(task, world.mm, world.vpn, world.pfn);
    expect(signatures()).toEqual(['pin of a shared page']);
  });

  test('an unpin too many', () => {
    checker.unpinned(task, world.pfn);
    expect(signatures()).toEqual(['unpin underflow']);
  });

  test('every hook counts what it checked', () => {
    checker.forkFlushed(task, world.mm, world.mm);
    checker.migrationSourceUnlock(task, world.pfn);
    expect(counts).toMatchObject({ 'fork-flush': 1, 'entries-at-unlock': 1 });
  });
});
