/** The pool of huge pages, forged by hand: what is promised and what is counted must agree. */
import { expect, test } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { slabAlloc } from '../../src/arena/slab.ts';
import { checkHugePages } from '../../src/check/hugePages.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { ADDRESS_SPACE, initAddressSpace } from '../../src/layout/addressSpace.ts';
import { GLOBAL, globalAt } from '../../src/layout/globals.ts';
import { bootHugetlbPool } from '../../src/layout/hugetlb.ts';
import type { AddressSpacePtr, MmPtr, VmaNodePtr, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { MM, clearMm } from '../../src/layout/mm.ts';
import { PAGE, PG_hugetlb, PG_hugetlbRestoreReserve, PG_hugetlbTemporary } from '../../src/layout/page.ts';
import { HPAGE_RESV_OWNER, VMA, VMA_WORDS, VM_HUGETLB } from '../../src/layout/vma.ts';
import { setVmaNodeCapacity, setVmaNodeCount, setVmaNodeEntry } from '../../src/layout/vmaNode.ts';

const FREE = 'huge pages free and in use are not the pool';
const RESERVED = 'reserved huge pages differ from promises';

interface PoolWorld {
  readonly heap: Heap;
  readonly object: number;
  readonly vma: VmaPtr;
  readonly page: number;
}

/** A pool of three pages: one in use by an owner's mapping of two pages, one promised to it. */
function forgePool(): PoolWorld {
  const heap = createMachine({ ...SMALL_MACHINE, hugePages: 3 });
  bootHugetlbPool(heap);
  const mm = slabAlloc(heap, 0, CACHES.mm) as MmPtr;
  clearMm(heap, mm, 1);
  const object = slabAlloc(heap, 0, CACHES.addressSpace) as AddressSpacePtr;
  initAddressSpace(heap, object, 1024);
  heap[object + ADDRESS_SPACE.reserved] = 1;
  const vma = slabAlloc(heap, 0, CACHES.vma) as VmaPtr;
  heap.fill(0, vma, vma + VMA_WORDS);
  heap[vma + VMA.end] = 1024;
  heap[vma + VMA.flags] = VM_HUGETLB;
  heap[vma + VMA.file] = object;
  heap[vma + VMA.privateData] = HPAGE_RESV_OWNER;
  const node = slabAlloc(heap, 0, CACHES.vmaNode16) as VmaNodePtr;
  setVmaNodeCapacity(heap, node, 16);
  setVmaNodeCount(heap, node, 1);
  setVmaNodeEntry(heap, node, 0, 0 as Vpn, 1024 as Vpn, vma);
  heap[mm + MM.vmaTree] = node;
  const page = slabAlloc(heap, 0, CACHES.frame);
  heap[page + PAGE.flags] = PG_hugetlb;
  heap[globalAt(heap, GLOBAL.hugetlbFree)] = 2;
  heap[globalAt(heap, GLOBAL.hugetlbReserved)] = 1;
  return { heap, object, vma, page };
}

function signatures({ heap }: PoolWorld): string[] {
  return checkHugePages(heap).map(({ signature }) => signature);
}

test('a consistent pool: nothing to say', () => {
  expect(signatures(forgePool())).toEqual([]);
});

test.each<[string, (w: PoolWorld) => void, string[]]>([
  ['a free page too many', (w) => w.heap[globalAt(w.heap, GLOBAL.hugetlbFree)]++, [FREE]],
  ['a page in use that is not of the pool', (w) => (w.heap[w.page + PAGE.flags] |= PG_hugetlbTemporary), [FREE]],
  ['a promise that is not counted', (w) => w.heap[globalAt(w.heap, GLOBAL.hugetlbReserved)]--, [RESERVED]],
  ['a promise used up that is still counted', (w) => (w.heap[w.object + ADDRESS_SPACE.reserved] = 3), [RESERVED]],
  ['an owner that is none', (w) => (w.heap[w.vma + VMA.privateData] = 0), [RESERVED]],
  ['a page that gives a promise back', (w) => (w.heap[w.page + PAGE.flags] |= PG_hugetlbRestoreReserve), [RESERVED]],
  ['a promise that is of nobody', (w) => w.heap[globalAt(w.heap, GLOBAL.hugetlbStranded)]++, [RESERVED]],
])('%s', (_what, corrupt, expected) => {
  const world = forgePool();
  corrupt(world);
  expect(signatures(world)).toEqual(expected);
});
