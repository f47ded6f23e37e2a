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
  TRAIT_NOT_COPIED,
  TRAIT_WIPED,
  UNKNOWN,
  UNMAPPED,
  clearShadow,
  copyShadow,
  fillShadow,
  forkShadow,
  giveUp,
  isForkUnsure,
  judgeForeignValue,
  judgeOwnValue,
  loseTrack,
  makeValue,
  mayBeZero,
  setShadow,
  setTrait,
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

  describe('traits', () => {
    /** The page as a child has it, forked by its owner. */
    function inChild(parent: number): [state: number, value: number, mayBeZero: boolean] {
      const child = claimSlot(table);
      forkShadow(table, parent, child, 0, 2);
      freeSlot(table, child);
      return [shadowState(table, child, 0), shadowValue(table, child, 0), mayBeZero(table, child, 0)];
    }

    function written(): number {
      const slot = open(1);
      clearShadow(table, slot);
      fillShadow(table, slot, 0, 4, READ_WRITE, 0);
      setShadow(table, slot, 0, READ_WRITE, 77);
      return slot;
    }

    test('what is wiped reads zero in the child, and still so in its child', () => {
      const parent = written();
      setTrait(table, parent, 0, 1, TRAIT_WIPED, true);
      expect(inChild(parent)).toEqual([READ_WRITE, 0, false]);
      const child = claimSlot(table);
      forkShadow(table, parent, child, 0, 2);
      setShadow(table, child, 0, READ_WRITE, 5);
      expect(inChild(child)).toEqual([READ_WRITE, 0, false]);
      setTrait(table, child, 0, 1, TRAIT_WIPED, false);
      expect(inChild(child)).toEqual([READ_WRITE, 5, false]);
    });

    test('what is not copied is unmapped in the child', () => {
      const parent = written();
      setTrait(table, parent, 0, 1, TRAIT_NOT_COPIED, true);
      setTrait(table, parent, 0, 1, TRAIT_WIPED, true);
      expect(inChild(parent)).toEqual([UNMAPPED, 0, false]);
    });

    test('a trait that may have changed: the child is unknown until it is known again', () => {
      const parent = written();
      setTrait(table, parent, 0, 1, TRAIT_WIPED, null);
      expect(isForkUnsure(table, parent, 0, 4)).toBe(true);
      expect(inChild(parent)[0]).toBe(UNKNOWN);
      setTrait(table, parent, 0, 1, TRAIT_WIPED, false);
      expect(isForkUnsure(table, parent, 0, 4)).toBe(false);
      expect(inChild(parent)).toEqual([READ_WRITE, 77, false]);
    });

    test('what was given up may be zero until it is written, in the child as well', () => {
      const parent = written();
      giveUp(table, parent, 0, 1);
      expect(inChild(parent)).toEqual([READ_WRITE, 77, true]);
      setShadow(table, parent, 0, READ_WRITE, 78);
      expect(inChild(parent)).toEqual([READ_WRITE, 78, false]);
    });

    test('a page that moves takes all with it; a new mapping has none', () => {
      const slot = written();
      giveUp(table, slot, 0, 1);
      setTrait(table, slot, 0, 1, TRAIT_WIPED, null);
      copyShadow(table, slot, 0, 3);
      expect([shadowValue(table, slot, 3), mayBeZero(table, slot, 3), isForkUnsure(table, slot, 3, 1)]).toEqual([
        77,
        true,
        true,
      ]);
      fillShadow(table, slot, 3, 1, READ_WRITE, 0);
      expect([mayBeZero(table, slot, 3), isForkUnsure(table, slot, 3, 1)]).toEqual([false, false]);
      loseTrack(table, slot, 3, 1);
      expect([shadowState(table, slot, 3), isForkUnsure(table, slot, 3, 1)]).toEqual([UNKNOWN, true]);
      setShadow(table, slot, 2, READ_WRITE, 5);
      loseTrack(table, slot, 2, 1);
      expect(shadowValue(table, slot, 2)).toBe(0);
    });
  });
});
