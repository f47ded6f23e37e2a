/** Flushes that somebody owes: who pays them, and what is remembered meanwhile. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { cmpxchgMmTlbFlushBatched, readOnceMmTlbFlushBatched } from '../../src/layout/mm.ts';
import { tlbSlot, tlbSlotAsid } from '../../src/layout/tlb.ts';
import { PROT_READ } from '../../src/mm/syscallFlags.ts';
import {
  flushTlbBatchedPending,
  flushTlbRange,
  setTlbUbcFlushPending,
  tryToUnmapFlush,
} from '../../src/mm/tlbFlush.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { forkProcess, mapPages, mmTest, movePages, protectPages, readIn, unmapPages, type Sandbox } from './sandbox.ts';

const PAGE = 10 as Vpn;
const OTHER = 12 as Vpn;

interface Change {
  readonly name: string;
  readonly change: (box: Sandbox) => Sim<number>;
}

const CHANGES: readonly Change[] = [
  { name: 'munmap', change: (box: Sandbox): Sim<number> => unmapPages(box, PAGE, 1) },
  { name: 'mprotect', change: (box: Sandbox): Sim<number> => protectPages(box, PAGE, 1, PROT_READ) },
  { name: 'mremap', change: (box: Sandbox): Sim<number> => movePages(box, PAGE, 1, 40) },
];

/** Two mapped pages; CPU 2 has both in its TLB. */
function twoPages(box: Sandbox): Sim<void> {
  mapPages(box, PAGE, 3);
  for (const vpn of [PAGE, OTHER]) {
    userWrite(box.task, vpn, 0, 1);
    userRead(box.task2, vpn, 0);
  }
}

function isCached(box: Sandbox, vpn: Vpn, cpu = 1): Sim<boolean> {
  return tlbSlotAsid(box.heap, tlbSlot(box.heap, cpu, vpn)) !== 0;
}

describe('flushTlbRange', () => {
  mmTest('removes the range from all CPUs and nothing else', (box: Sandbox): Sim<void> => {
    twoPages(box);
    flushTlbRange(box.task3, box.mm, PAGE, (PAGE + 1) as Vpn);
    expect(isCached(box, PAGE)).toBe(false);
    expect(isCached(box, PAGE, 0)).toBe(false);
    expect(isCached(box, OTHER)).toBe(true);
    flushTlbRange(box.task3, box.mm, 0 as Vpn, 1000 as Vpn);
    expect(isCached(box, OTHER)).toBe(false);
  });

  mmTest('leaves other address spaces alone', (box: Sandbox): Sim<void> => {
    twoPages(box);
    const child = forkProcess(box);
    readIn(box.task2, child, PAGE);
    flushTlbRange(box.task, box.mm, 0 as Vpn, 1000 as Vpn);
    expect(isCached(box, PAGE)).toBe(true);
    flushTlbRange(box.task, child, 0 as Vpn, 1000 as Vpn);
    expect(isCached(box, PAGE)).toBe(false);
  });
});

describe('a deferred flush', () => {
  mmTest('is paid by the task that owes it', (box: Sandbox): Sim<void> => {
    twoPages(box);
    setTlbUbcFlushPending(box.task3, box.mm);
    expect(isCached(box, PAGE)).toBe(true);
    tryToUnmapFlush(box.task);
    expect(isCached(box, PAGE)).toBe(true);
    tryToUnmapFlush(box.task3);
    expect(isCached(box, PAGE)).toBe(false);
    expect(box.task3.deferredFlushCpus).toBe(0);
  });

  mmTest('is paid by whoever changes entries of that address space next', (box: Sandbox): Sim<void> => {
    twoPages(box);
    flushTlbBatchedPending(box.task, box.mm);
    expect(isCached(box, OTHER)).toBe(true);
    setTlbUbcFlushPending(box.task3, box.mm);
    flushTlbBatchedPending(box.task, box.mm);
    expect(isCached(box, OTHER)).toBe(false);
    userRead(box.task2, OTHER, 0);
    flushTlbBatchedPending(box.task, box.mm);
    expect(isCached(box, OTHER)).toBe(true);
    tryToUnmapFlush(box.task3);
  });

  for (const { name, change } of CHANGES) {
    mmTest(`is paid by ${name} of another page`, (box: Sandbox): Sim<void> => {
      twoPages(box);
      setTlbUbcFlushPending(box.task3, box.mm);
      expect(change(box)).toBe(0);
      expect(isCached(box, OTHER)).toBe(false);
      tryToUnmapFlush(box.task3);
    });
  }

  mmTest('is remembered when the counter of requests starts over', (box: Sandbox): Sim<void> => {
    twoPages(box);
    for (let round = 0; round < 3; round++) {
      const before = readOnceMmTlbFlushBatched(box.heap, box.mm);
      // As if many had been deferred and flushed: numbers high up in their half of the word.
      cmpxchgMmTlbFlushBatched(box.heap, box.mm, before, 0x3ffe | (0x3ffe << 16));
      for (let i = 0; i < 2 + round; i++) setTlbUbcFlushPending(box.task3, box.mm);
      userRead(box.task2, PAGE, 0);
      expect(isCached(box, PAGE)).toBe(true);
      flushTlbBatchedPending(box.task, box.mm);
      expect(isCached(box, PAGE)).toBe(false);
      const batch = readOnceMmTlbFlushBatched(box.heap, box.mm);
      expect(batch & 0xffff).toBe(batch >>> 16);
    }
    expect(readOnceMmTlbFlushBatched(box.heap, box.mm) & 0xffff).toBe(2);
    tryToUnmapFlush(box.task3);
  });
});
