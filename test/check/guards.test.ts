/** Invariants 21, 30, 31 and 39: which lock a write needs, and the order in which walks visit VMAs. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Violation } from '../../src/base/finding.ts';
import { createChecker } from '../../src/check/watch.ts';
import type { CheckHook, GuardedField } from '../../src/cpu/hooks.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import { ANON_VMA, AVC } from '../../src/layout/anonVma.ts';
import type { VmaPtr } from '../../src/layout/ids.ts';
import { MM } from '../../src/layout/mm.ts';
import { TABLE } from '../../src/layout/pageTable.ts';
import { VMA } from '../../src/layout/vma.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { secondVma } from './corruptions.ts';
import { forgeWorld, type ForgedWorld } from './forge.ts';
import { HOLD, type Hold } from './lockHolds.ts';

let world: ForgedWorld;
let task: Task;
let checker: CheckHook;
let seen: Violation[];

beforeEach(() => {
  world = forgeWorld();
  task = createTask({ heap: world.heap, id: 1, rules: LINUX_7_0, seed: 1 });
  world.heap[world.vma + VMA.lockSeq] = -1;
  seen = [];
  checker = createChecker((violation) => seen.push(violation), {});
});

const found = (): [string, string][] => seen.map(({ kind, signature }) => [kind, signature]);
const signatures = (): string[] => seen.map(({ signature }) => signature);
function hold(...locks: readonly Hold[]): void {
  for (const lock of locks) HOLD[lock](task, world);
}

interface GuardRow {
  readonly field: GuardedField;
  readonly at: (w: ForgedWorld) => number;
  /** All that is needed. */
  readonly locks: readonly Hold[];
  /** Without any lock: what is said to be missing. */
  readonly name: string;
  readonly missing: readonly string[];
}

const MMAP = 'the mmap lock for write';
const RMAP = 'the anon_vma lock for write';
const GUARDS: readonly GuardRow[] = [
  {
    field: 'vmaRange',
    at: (w) => w.vma,
    locks: ['mmapWrite', 'vmaWrite', 'anonVma'],
    name: 'the range of a VMA',
    missing: [MMAP, 'the VMA lock for write', RMAP],
  },
  {
    field: 'vmaFlags',
    at: (w) => w.vma,
    locks: ['mmapWrite', 'vmaWrite'],
    name: 'vm_flags',
    missing: [MMAP, 'the VMA lock for write'],
  },
  { field: 'vmaAnonVma', at: (w) => w.vma, locks: ['anonVma'], name: 'vma->anon_vma', missing: [RMAP] },
  { field: 'anonVma', at: (w) => w.anonVma, locks: ['anonVma'], name: 'an anon_vma', missing: [RMAP] },
  { field: 'anonVma', at: (w) => w.anonVma, locks: ['anonVmaSpin'], name: 'an anon_vma', missing: [RMAP] },
  { field: 'folioMapping', at: (w) => w.pfn, locks: ['folio'], name: 'folio->mapping', missing: ['the folio lock'] },
  {
    field: 'tableEntry',
    at: (w) => w.heap[w.mm + MM.pgd],
    locks: ['pageTableLock'],
    name: 'an upper page-table entry',
    missing: ["the lock of the entry's level"],
  },
  { field: 'vmaTree', at: (w) => w.mm, locks: ['mmapWrite'], name: 'the VMA tree', missing: [MMAP] },
];

describe('a guarded write', () => {
  test.each(GUARDS)('$field under $locks', ({ field, at, locks }) => {
    hold(...locks);
    checker.guardedWrite(task, field, at(world));
    expect(seen).toEqual([]);
  });

  for (const { field, at, locks, name, missing } of GUARDS) {
    test.each(missing.map((lock, i) => ({ lock, held: locks.slice(0, i) })))(
      `${field} with $held only: $lock is missing`,
      ({ lock, held }) => {
        hold(...held);
        checker.guardedWrite(task, field, at(world));
        expect(found()).toEqual([['lock-held', `${name} written without ${lock}`]]);
      },
    );
  }

  test('what somebody else holds does not help', () => {
    const other = createTask({ heap: world.heap, id: 2, rules: LINUX_7_0, seed: 1 });
    HOLD.anonVma(other, world);
    checker.guardedWrite(task, 'anonVma', world.anonVma);
    expect(signatures()).toEqual([`an anon_vma written without ${RMAP}`]);
  });

  test('an entry of a PMD table has that table for its lock', () => {
    world.heap[world.pteTable + TABLE.level] = 1;
    hold('pageTableLock');
    checker.guardedWrite(task, 'tableEntry', world.pteTable);
    expect(seen.length).toBe(1);
    hold('ptl');
    checker.guardedWrite(task, 'tableEntry', world.pteTable);
    expect(seen.length).toBe(1);
  });

  test('a VMA that was never faulted has no walkers', () => {
    world.heap[world.vma + VMA.anonVma] = 0;
    hold('mmapWrite', 'vmaWrite');
    checker.guardedWrite(task, 'vmaRange', world.vma);
    expect(seen).toEqual([]);
  });

  test('the first anon_vma: by a fault under the page table lock, or by who has the VMA for himself', () => {
    world.heap[world.vma + VMA.anonVma] = 0;
    checker.guardedWrite(task, 'vmaAnonVma', world.vma);
    checker.mmapLocked(task, world.mm, false);
    checker.guardedWrite(task, 'vmaAnonVma', world.vma);
    expect(signatures()).toEqual([
      'vma->anon_vma written without the mmap lock',
      'vma->anon_vma written without the page table lock',
    ]);
    seen.length = 0;
    hold('pageTableLock');
    checker.guardedWrite(task, 'vmaAnonVma', world.vma);
    expect(seen).toEqual([]);
  });

  test('is reported once', () => {
    for (let i = 0; i < 3; i++) checker.guardedWrite(task, 'anonVma', world.anonVma);
    expect(seen.length).toBe(1);
  });
});

describe('fork copies entries', () => {
  let child: VmaPtr;
  beforeEach(() => {
    child = secondVma(world) as VmaPtr;
    world.heap[world.heap[child + VMA.avcFirst] + AVC.pgoff] = world.heap[world.avc + AVC.pgoff];
    world.heap[world.mm + MM.writeProtectSeq] = 1;
    hold('mmapWrite', 'vmaWrite');
  });

  test('to a VMA that was linked later, all locks held', () => {
    checker.forkCopies(task, world.vma, child);
    expect(seen).toEqual([]);
  });

  test.each([
    ['while write_protect_seq is even', (): void => void (world.heap[world.mm + MM.writeProtectSeq] = 2)],
    ['without the mmap lock for write', (): void => void world.heap.fill(0, world.mm + MM.mmapLock, world.mm + 2)],
    ['without the VMA write-locked', (): void => void (world.heap[world.vma + VMA.lockSeq] = -1)],
  ] as const)('%s', (what, corrupt) => {
    corrupt();
    checker.forkCopies(task, world.vma, child);
    expect(found()).toEqual([['lock-held', `fork copies entries ${what}`]]);
  });

  test("to a VMA that walks visit before the parent's", () => {
    world.heap[world.avc + AVC.stamp] = 3;
    checker.forkCopies(task, world.vma, child);
    expect(found()).toEqual([['rmap-miss', "fork: the child's VMA is visited before the parent's"]]);
  });

  test.each([
    ['has no edge', (): void => void (world.heap[child + VMA.avcFirst] = 0)],
    ['has an edge in no tree', (): void => void (world.heap[world.heap[child + VMA.avcFirst] + AVC.stamp] = 0)],
  ] as const)('to a VMA that %s', (_what, corrupt) => {
    corrupt();
    checker.forkCopies(task, world.vma, child);
    expect(found()).toEqual([['rmap-miss', "fork: the child's VMA is not linked to an anon_vma of the parent's"]]);
  });
});

describe('entries move', () => {
  let target: VmaPtr;
  beforeEach(() => (target = secondVma(world) as VmaPtr));

  test('to a VMA that walks visit later', () => {
    checker.entriesMove(task, world.vma, target, false);
    expect(seen).toEqual([]);
  });

  test('to a VMA that walks visit earlier', () => {
    checker.entriesMove(task, target, world.vma, false);
    expect(found()).toEqual([
      ['lock-held', 'mremap: entries move to a VMA that is visited before the old one without the rmap lock'],
    ]);
  });

  test('of equal offsets, the later stamp comes later', () => {
    world.heap[world.heap[target + VMA.avcFirst] + AVC.pgoff] = world.heap[world.avc + AVC.pgoff];
    checker.entriesMove(task, world.vma, target, false);
    expect(seen).toEqual([]);
    checker.entriesMove(task, target, world.vma, false);
    expect(seen.length).toBe(1);
  });

  test('table-wise without the rmap lock, whatever the order', () => {
    checker.entriesMove(task, world.vma, target, true);
    expect(found()).toEqual([['lock-held', 'mremap: a page table moves without the rmap lock']]);
  });

  test('under the rmap lock anything goes', () => {
    hold('anonVma');
    checker.entriesMove(task, target, world.vma, false);
    checker.entriesMove(task, target, world.vma, true);
    expect(seen).toEqual([]);
  });

  test('within one VMA, or without an anon_vma', () => {
    checker.entriesMove(task, world.vma, world.vma, false);
    world.heap[target + VMA.anonVma] = 0;
    checker.entriesMove(task, target, world.vma, true);
    expect(seen).toEqual([]);
    expect(world.heap[world.anonVma + ANON_VMA.root]).toBe(world.anonVma);
  });
});
