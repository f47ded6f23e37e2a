/** The VMA tree on its own: what a store makes of what was there, held against a plain array; capacities; gaps; failures. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { Prng } from '../../src/base/prng.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { treeRanges } from '../../src/check/view.ts';
import { NO_NODE, NO_VMA, type VmaPtr, type Vpn } from '../../src/layout/ids.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rcuBarrier, rcuReadLock, rcuReadUnlock } from '../../src/locks/rcu.ts';
import {
  vmaFind,
  vmaFindBelow,
  vmaFindRange,
  vmaLookup,
  vmaTreeCancel,
  vmaTreeDestroy,
  vmaTreeGapBelow,
  vmaTreePrealloc,
  vmaTreeStore,
} from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Task } from '../../src/cpu/task.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { failingTask, mmTest, openSandbox, type Sandbox } from './sandbox.ts';

const PAGES = 200;
/** Stands for a VMA where only the tree is looked at. */
const fake = (n: number): VmaPtr => n as VmaPtr;
const vpn = (n: number): Vpn => n as Vpn;

function store(box: Sandbox, start: number, end: number, vma: VmaPtr): Sim<void> {
  mmapWriteLock(box.task, box.mm);
  storeLocked(box, start, end, vma);
  mmapWriteUnlock(box.task, box.mm);
}

function storeLocked(box: Sandbox, start: number, end: number, vma: VmaPtr): Sim<void> {
  const node = vmaTreePrealloc(box.task, box.mm);
  expect(node).not.toBe(NO_NODE);
  vmaTreeStore(box.task, box.mm, node, vpn(start), vpn(end), vma);
}

/** The tree as text: `[0,3)7 [5,6)8`. */
function draw({ heap, mm }: Sandbox): string {
  return treeRanges(heap, mm)
    .map(({ start, end, vma }) => `[${start},${end})${vma}`)
    .join(' ');
}

/** The detectors would take the pretended VMAs for freed ones. */
function clear(box: Sandbox): Sim<void> {
  store(box, 0, 2 ** 20, NO_VMA);
  rcuBarrier(box.task);
}

describe('a store', () => {
  const rows = [
    { what: 'into the empty tree', stores: [[2, 5, 1]], drawn: '[2,5)1' },
    {
      what: 'behind',
      stores: [
        [2, 5, 1],
        [5, 6, 2],
      ],
      drawn: '[2,5)1 [5,6)2',
    },
    {
      what: 'before',
      stores: [
        [2, 5, 1],
        [0, 2, 2],
      ],
      drawn: '[0,2)2 [2,5)1',
    },
    {
      what: 'over the head of a range',
      stores: [
        [2, 5, 1],
        [2, 3, 2],
      ],
      drawn: '[2,3)2 [3,5)1',
    },
    {
      what: 'over the tail of a range',
      stores: [
        [2, 5, 1],
        [4, 5, 2],
      ],
      drawn: '[2,4)1 [4,5)2',
    },
    {
      what: 'into the middle of a range',
      stores: [
        [2, 5, 1],
        [3, 4, 2],
      ],
      drawn: '[2,3)1 [3,4)2 [4,5)1',
    },
    {
      what: 'over several',
      stores: [
        [0, 2, 1],
        [3, 4, 2],
        [5, 8, 3],
        [1, 6, 4],
      ],
      drawn: '[0,1)1 [1,6)4 [6,8)3',
    },
    {
      what: 'over everything',
      stores: [
        [0, 2, 1],
        [3, 4, 2],
        [0, 9, 3],
      ],
      drawn: '[0,9)3',
    },
    {
      what: 'of nothing',
      stores: [
        [0, 9, 1],
        [3, 5, 0],
      ],
      drawn: '[0,3)1 [5,9)1',
    },
    {
      what: 'of nothing over all',
      stores: [
        [0, 9, 1],
        [0, 9, 0],
      ],
      drawn: '',
    },
  ];
  for (const { what, stores, drawn } of rows) {
    mmTest(what, (box: Sandbox): Sim<void> => {
      for (const [start, end, vma] of stores) store(box, start, end, fake(vma));
      expect(draw(box)).toBe(drawn);
      clear(box);
    });
  }
});

mmTest('random stores and every kind of lookup agree with an array of pages', (box: Sandbox): Sim<void> => {
  const prng = Prng.fromSeed(5);
  const owner = new Array<number>(PAGES).fill(0);
  for (let round = 0; round < 60; round++) {
    const start = prng.below(PAGES - 1);
    const end = start + 1 + prng.below(Math.min(30, PAGES - start - 1));
    const vma = prng.chance(0.3) ? 0 : round + 1;
    store(box, start, end, fake(vma));
    owner.fill(vma, start, end);
    expect(
      treeRanges(box.heap, box.mm).flatMap(({ start: s, end: e, vma: v }) => new Array<number>(e - s).fill(v)),
    ).toEqual(owner.filter((v) => v !== 0));
    const at = prng.below(PAGES);
    expect(vmaLookup(box.task, box.mm, vpn(at))).toBe(owner[at]);
    expect(vmaFind(box.task, box.mm, vpn(at))).toBe(owner.slice(at).find((v) => v !== 0) ?? 0);
    const to = at + 1 + prng.below(10);
    expect(vmaFindRange(box.task, box.mm, at, to)).toBe(owner.slice(at, to).find((v) => v !== 0) ?? 0);
    expect(vmaFindBelow(box.task, box.mm, vpn(at))).toBe(lastEndingBelow(owner, at));
    const pages = 1 + prng.below(6);
    const low = prng.below(50);
    const high = low + prng.below(PAGES - low);
    expect(vmaTreeGapBelow(box.task, box.mm, vpn(low), vpn(high), pages)).toBe(highestGap(owner, low, high, pages));
  }
  clear(box);
});

/** Ranges end where the owner changes; the last one that ends at or below `at`. */
function lastEndingBelow(owner: readonly number[], at: number): number {
  for (let page = at - 1; page >= 0; page--) {
    if (owner[page] !== 0 && owner[page] !== owner[page + 1]) return owner[page];
  }
  return 0;
}

function highestGap(owner: readonly number[], low: number, high: number, pages: number): number {
  for (let end = high; end - pages >= low; end--) {
    if (owner.slice(end - pages, end).every((v) => v === 0)) return end;
  }
  return -1;
}

mmTest(
  'grows from block size to block size, and fails beyond the largest',
  (box: Sandbox): Sim<void> => {
    const most = 1024 - 2;
    for (let i = 0; i <= most; i++) {
      store(box, 2 * i, 2 * i + 1, fake(i + 1));
      rcuBarrier(box.task);
    }
    expect(vmaTreePrealloc(box.task, box.mm)).toBe(NO_NODE);
    expect(treeRanges(box.heap, box.mm).length).toBe(most + 1);
    expect(vmaLookup(box.task, box.mm, vpn(2 * 700))).toBe(701);
    expect(vmaLookup(box.task, box.mm, vpn(2 * 700 + 1))).toBe(NO_VMA);
    mmapWriteLock(box.task, box.mm);
    vmaTreeDestroy(box.task, box.mm);
    mmapWriteUnlock(box.task, box.mm);
    expect(vmaFind(box.task, box.mm, vpn(0))).toBe(NO_VMA);
  },
  { size: { vmaNodes: [4, 4, 4, 4] } },
);

mmTest('a block that is not used goes back; without memory there is none', (box: Sandbox): Sim<void> => {
  const before = slabAllocatedCount(box.heap, CACHES.vmaNode16);
  const node = vmaTreePrealloc(box.task, box.mm);
  expect(slabAllocatedCount(box.heap, CACHES.vmaNode16)).toBe(before + 1);
  vmaTreeCancel(box.task, node);
  expect(slabAllocatedCount(box.heap, CACHES.vmaNode16)).toBe(before);
  expect(vmaTreePrealloc(failingTask(box.task, 0), box.mm)).toBe(NO_NODE);
});

simConcurrent('who finds all blocks waiting for a grace period waits for it too', {
  ...mmKernel(LINUX_7_0, { vmaNodes: [3, 0, 0, 0] }),
  executions: 40,
  setup: openSandbox,
  threads: [
    (task: Task, box: Sandbox): Sim<void> => {
      mmapWriteLock(task, box.mm);
      for (let i = 0; i < 6; i++) storeLocked({ ...box, task }, i, i + 1, fake(i + 1));
      vmaTreeDestroy(task, box.mm);
      mmapWriteUnlock(task, box.mm);
    },
    (task: Task, box: Sandbox): Sim<void> => {
      for (let i = 0; i < 4; i++) {
        rcuReadLock(task);
        const found = vmaLookup(task, box.mm, vpn(0));
        expect(found === NO_VMA || found === 1).toBe(true);
        rcuReadUnlock(task);
      }
    },
  ],
});

mmTest('a reader inside RCU keeps the block it looks at', (box: Sandbox): Sim<void> => {
  mmapWriteLock(box.task, box.mm);
  storeLocked(box, 0, 1, fake(7));
  rcuReadLock(box.task2);
  const before = slabAllocatedCount(box.heap, CACHES.vmaNode16);
  storeLocked(box, 0, 1, fake(8));
  storeLocked(box, 0, 1, fake(9));
  expect(slabAllocatedCount(box.heap, CACHES.vmaNode16)).toBe(before + 2);
  rcuReadUnlock(box.task2);
  mmapWriteUnlock(box.task, box.mm);
  clear(box);
  expect(slabAllocatedCount(box.heap, CACHES.vmaNode16)).toBe(1);
});
