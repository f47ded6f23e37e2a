/** Meetings of one thread with arrivals of others made by hand: real threads meet in every stress run. */
import { beforeEach, describe, expect, test } from 'vitest';
import { requestAbort } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { MachineAborted } from '../../src/cpu/machineAborted.ts';
import { barrierWanted, leaveBarrier, meet, meetAtEnd, wantBarrier } from '../../stress/barrier.ts';
import { CONTROL, sectionWords, stressSection, type StressSection } from '../../stress/section.ts';

const SHAPE = { frames: SMALL_MACHINE.frames, cpus: 2, processes: 1 };
let heap: Heap;
let section: StressSection;

beforeEach(() => {
  heap = createMachine({ ...SMALL_MACHINE, userWords: sectionWords(SHAPE) });
  section = stressSection(heap, SHAPE);
});

function othersArrived(word: number, count: number): void {
  heap[section.control + word] = count;
}

describe('barrier', () => {
  test('the last one to come works alone, then the barrier is open again', () => {
    wantBarrier(heap, section);
    othersArrived(CONTROL.barrierArrived, 1);
    let inside = 0;
    meet(heap, section, 2, () => inside++);
    expect([inside, barrierWanted(heap, section), heap[section.control + CONTROL.barrierArrived]]).toEqual([
      1,
      false,
      0,
    ]);
  });

  test('nobody waits for a CPU that has issued its last operation', () => {
    wantBarrier(heap, section);
    leaveBarrier(heap, section);
    expect(barrierWanted(heap, section)).toBe(false);
    let inside = 0;
    meet(heap, section, 2, () => inside++);
    expect(inside).toBe(0);
  });

  test('who has left is not taken for one who arrived at the end', () => {
    leaveBarrier(heap, section);
    meet(heap, section, 2, () => undefined);
    expect(heap[section.control + CONTROL.endArrived]).toBe(0);
    othersArrived(CONTROL.endArrived, 1);
    let inside = 0;
    meetAtEnd(heap, section, 2, () => inside++);
    expect(inside).toBe(1);
  });

  test('an abort ends the wait', () => {
    requestAbort(heap);
    expect(() => meetAtEnd(heap, section, 2, () => undefined)).toThrow(MachineAborted);
  });
});
