/** One graph for all: what one thread learns, another one checks against and prints. */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { attachArena } from '../../src/arena/arena.ts';
import { CLASS_ANON_VMA_RWSEM, CLASS_MMAP_LOCK, CLASS_TEST_MUTEX } from '../../src/layout/lockClass.ts';
import { LOCKDEP_LARGE, SECTION, attachSection } from '../../src/lockdep/section.ts';
import type { LockdepReport } from '../../src/lockdep/report.ts';
import { describeHeldLocks } from '../../src/report/lockdepHeld.ts';
import { testWorker } from '../support/testWorker.ts';
import { attachMachine, createTestHeap, drop, kindsOf, take } from './harness.ts';
import type { LearnData } from './learn.worker.ts';

describe('two views of one arena', () => {
  const heap = createTestHeap();
  const first = attachMachine(heap);
  const second = attachMachine(attachArena(heap.buffer));
  const [mmap, av] = [first.lock(CLASS_MMAP_LOCK), first.lock(CLASS_ANON_VMA_RWSEM)];

  function learnsFirst(): void {
    take(first, first.tasks[0], [mmap, av]);
    drop(first, first.tasks[0], [mmap, av]);
  }

  it('the second one closes the cycle and prints where the first one was', () => {
    learnsFirst();
    take(second, second.tasks[1], [av, mmap]);
    expect(first.reports).toEqual([]);
    expect(kindsOf(second)).toEqual(['circular']);
    const [closing, learned] = second.reports[0].cycle!;
    expect(closing).toMatchObject({ task: 2, from: '&anon_vma->rwsem', to: '&mm->mmap_lock' });
    expect(learned).toMatchObject({ task: 1, from: '&mm->mmap_lock', to: '&anon_vma->rwsem' });
    expect(learned.trace.join()).toMatch(/learnsFirst@test\/lockdep\/sharing\.test\.ts:\d+/);
  });

  it('anybody can print what a task holds', () => {
    const [line, ...held] = describeHeldLocks(heap, second.tasks[1].id);
    expect(line).toBe('2 locks held by task/2:');
    expect(held).toHaveLength(2);
    expect(held[1]).toMatch(/^ #1: 0x[\da-f]{8} \(&mm->mmap_lock\)\{\+\.\+\.\}-\{4:4\}, at: /);
    expect(describeHeldLocks(heap, first.tasks[0].id)).toEqual(['no locks held by task/1.']);
  });

  it('what one reported the other does not repeat', () => {
    drop(second, second.tasks[1], [av, mmap]);
    take(first, first.tasks[0], [first.lock(CLASS_TEST_MUTEX), av, mmap]);
    expect(first.reports).toEqual([]);
  });
});

describe('threads', () => {
  it('learn into one graph at once, and each cycle is reported by exactly one of them', async () => {
    const heap = createTestHeap({ ...LOCKDEP_LARGE, classes: LOCKDEP_LARGE.classes + 32 });
    const reports: LockdepReport[] = [];
    const ends = [1, 2].map((id) => {
      const data: LearnData = { buffer: heap.buffer, id, classCount: 32, rounds: 400 };
      const worker = new Worker(testWorker('lockdep/learn'), { workerData: data });
      worker.on('message', (report: LockdepReport) => reports.push(report));
      return new Promise<number>((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    });
    expect(await Promise.all(ends)).toEqual([0, 0]);
    // Task 1 takes class n before n + 1, task 2 the other way round: one of the two is told for every pair.
    const pairs = reports.map(({ cycle }) => [cycle![0].from, cycle![0].to].sort().join());
    expect(reports.every(({ kind }) => kind === 'circular')).toBe(true);
    expect(new Set(pairs).size).toBe(31);
    expect(pairs).toHaveLength(31);
    const { base } = attachSection(heap);
    expect(heap[base + SECTION.lock]).toBe(0);
    expect(heap[base + SECTION.edgeCount]).toBe(31);
  }, 30_000);
});
