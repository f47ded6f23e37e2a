import { beforeEach, describe, expect, test } from 'vitest';
import type { Heap } from '../../src/arena/heap.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import type { TaskId } from '../../src/layout/ids.ts';
import { CLASS_ANON_VMA_RWSEM, CLASS_MMAP_LOCK, CLASS_PTE_LOCK } from '../../src/layout/lockClass.ts';
import { RWSEM, SPIN } from '../../src/layout/lockWords.ts';
import { TASK, taskAt } from '../../src/layout/task.ts';
import { OP } from '../../stress/operations.ts';
import { Watchdog } from '../../stress/run/watchdog.ts';

const HUNG_MS = 1000;
const LOCK_A = 100;
const LOCK_B = 200;
let heap: Heap;
let watchdog: Watchdog;

beforeEach(() => {
  // Low words of the task section's neighbourhood are not used by these tests: any place serves as a lock.
  heap = createMachine({ ...SMALL_MACHINE, cpus: 2, userWords: 400 });
  watchdog = new Watchdog(heap, HUNG_MS, 0);
});

function running(cpu: number, op: number, blockedOn = 0, cls = 0): void {
  const task = taskAt(heap, (cpu + 1) as TaskId);
  heap[task + TASK.op] = op + 1;
  heap[task + TASK.blockedOn] = blockedOn === 0 ? 0 : lockAt(blockedOn);
  heap[task + TASK.blockedClass] = cls;
}

/** Locks of these tests lie in the section of the machine's creator. */
function lockAt(lock: number): number {
  return heap.length - 400 + lock;
}

describe('watchdog', () => {
  test('progress: silent', () => {
    running(0, OP.fork);
    for (let ms = 0; ms < 5000; ms += 500) {
      heap[taskAt(heap, 1 as TaskId) + TASK.progress]++;
      expect(watchdog.look(ms)).toBeNull();
    }
  });

  test('between operations nobody is hung', () => {
    expect(watchdog.look(10_000)).toBeNull();
  });

  test('a cycle of owners: deadlock, with both locks', () => {
    heap[lockAt(LOCK_A) + SPIN.owner] = 1;
    heap[lockAt(LOCK_B) + RWSEM.owner] = 2 << 2;
    running(0, OP.migrate, LOCK_B, CLASS_ANON_VMA_RWSEM);
    running(1, OP.munmap, LOCK_A, CLASS_PTE_LOCK);
    watchdog.look(0);
    const violation = watchdog.look(HUNG_MS + 1);
    expect(violation?.kind).toBe('deadlock');
    expect(violation?.title).toBe('deadlock: CPU 0 waits for &anon_vma->rwsem, CPU 1 waits for ptlock_ptr(pte)');
    expect(violation?.evidence).toContain('CPU 1: munmap, blocked on ptlock_ptr(pte)');
  });

  test('blocked on a lock that nobody who waits holds: hung', () => {
    running(0, OP.fork, LOCK_A, CLASS_MMAP_LOCK);
    watchdog.look(0);
    expect(watchdog.look(HUNG_MS + 1)?.kind).toBe('hung');
  });

  test('running without an end: livelock', () => {
    running(1, OP.mremap);
    watchdog.look(0);
    const violation = watchdog.look(HUNG_MS + 1);
    expect(violation?.kind).toBe('livelock');
    expect(violation?.signature).toBe('livelock in mremap');
  });

  test('before the time is over: patience', () => {
    running(1, OP.mremap);
    watchdog.look(0);
    expect(watchdog.look(HUNG_MS)).toBeNull();
  });
});
