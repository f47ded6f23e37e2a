import { beforeEach, describe, expect, test } from 'vitest';
import { POISON } from '../../src/arena/slab.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import {
  claimSlot,
  dropProcess,
  freeSlot,
  holdProcess,
  isFamilyTag,
  liveProcesses,
  openProcess,
  processDepth,
  startExit,
  type ProcessTable,
} from '../../stress/processTable.ts';
import { sectionWords, stressSection } from '../../stress/section.ts';
import {
  READ_WRITE,
  UNKNOWN,
  clearShadow,
  forkShadow,
  judgeForeignValue,
  judgeOwnValue,
  makeValue,
  setShadow,
  shadowState,
  shadowValue,
} from '../../stress/shadow.ts';
import { laneOwner } from '../../stress/lanes.ts';

const SHAPE = { frames: SMALL_MACHINE.frames, cpus: 2, processes: 3 };
let table: ProcessTable;

beforeEach(() => {
  const heap = createMachine({ ...SMALL_MACHINE, userWords: sectionWords(SHAPE) });
  table = { heap, section: stressSection(heap, SHAPE), slots: SHAPE.processes };
});

function open(number: number, parent = -1): number {
  const slot = claimSlot(table);
  openProcess(table, slot, (1000 + number) as MmPtr, number, parent);
  return slot;
}

describe('process table', () => {
  test('slots run out and come back', () => {
    expect([open(1), open(2), open(3), claimSlot(table)]).toEqual([0, 1, 2, -1]);
    freeSlot(table, 1);
    expect(claimSlot(table)).toBe(1);
  });

  test('a claimed slot cannot be entered before it is opened', () => {
    const slot = claimSlot(table);
    expect(holdProcess(table, slot)).toBe(false);
  });

  test('the last one out tears down, whoever ended it', () => {
    const slot = open(1);
    expect(holdProcess(table, slot)).toBe(true);
    expect(startExit(table, slot)).toBe(true);
    expect(startExit(table, slot)).toBe(false);
    expect(dropProcess(table, slot)).toBe(false);
    expect(dropProcess(table, slot)).toBe(true);
    expect(holdProcess(table, slot)).toBe(false);
  });

  test('exiting processes do not count as live', () => {
    const slot = open(1);
    open(2);
    startExit(table, slot);
    expect(liveProcesses(table)).toBe(1);
  });

  test('a family is the process and its ancestors', () => {
    const root = open(1);
    const child = open(2, root);
    const grandchild = open(3, child);
    expect(processDepth(table, grandchild)).toBe(2);
    expect([1, 2, 3, 4].map((tag) => isFamilyTag(table, grandchild, tag))).toEqual([true, true, true, false]);
    expect([1, 2, 3].map((tag) => isFamilyTag(table, root, tag))).toEqual([true, false, false]);
  });
});

describe('shadow model', () => {
  test('the value that was written', () => {
    const slot = open(1);
    const value = makeValue(table, slot, 9);
    expect(judgeOwnValue(table, slot, 4, value, value)).toBeNull();
  });

  test('an older value of the same process: a lost write', () => {
    const slot = open(1);
    const violation = judgeOwnValue(table, slot, 4, makeValue(table, slot, 8), makeValue(table, slot, 9));
    expect(violation?.kind).toBe('lost-write');
    expect(violation?.title).toBe(
      'page 4 of process 1 reads value 8 of process 1, last written was value 9 of process 1',
    );
  });

  test('what the child wrote, seen by the parent: isolation is broken', () => {
    const parent = open(1);
    const child = open(2, parent);
    const value = makeValue(table, child, 1);
    expect(judgeForeignValue(table, parent, 4, value)?.kind).toBe('cow-isolation');
    expect(judgeForeignValue(table, child, 4, value)).toBeNull();
  });

  test('what the parent wrote before the fork, seen by the child, is right', () => {
    const parent = open(1);
    const value = makeValue(table, parent, 1);
    const child = open(2, parent);
    expect(judgeForeignValue(table, child, 4, value)).toBeNull();
  });

  test('poison: a freed frame', () => {
    expect(judgeForeignValue(table, open(1), 4, POISON)?.kind).toBe('use-after-free');
  });

  test('fork: own lanes are known in the child, the others are not', () => {
    const parent = open(1);
    clearShadow(table, parent);
    const own = [...Array(200).keys()].find((page) => laneOwner(page, 2) === 1)!;
    setShadow(table, parent, own, READ_WRITE, 77);
    setShadow(table, parent, 0, READ_WRITE, 78);
    const child = claimSlot(table);
    forkShadow(table, parent, child, 1, 2);
    expect([shadowState(table, child, own), shadowValue(table, child, own)]).toEqual([READ_WRITE, 77]);
    expect(shadowState(table, child, 0)).toBe(UNKNOWN);
  });
});
