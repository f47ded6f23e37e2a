/** The lock detector: accesses without the lock that the layout's guard table asks for, and whom it leaves alone. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import { CACHES } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc } from '../../src/cpu/alloc.ts';
import type { Task } from '../../src/cpu/task.ts';
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { HeldLocks } from '../../src/detect/heldLocks.ts';
import { LockGuards } from '../../src/detect/lockGuards.ts';
import { explore, type Failure } from '../../src/explore/explore.ts';
import type { MmPtr, PageTablePtr, PteVal, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { readOncePte, tableLock, writeOncePte, entryAt, initTable, LEVEL_PTE } from '../../src/layout/pageTable.ts';
import { setMmMapCount, mmMapCount } from '../../src/layout/mm.ts';
import { setVmaFlags, setVmaMm, setVmaStart, vmaStart } from '../../src/layout/vma.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rcuReadLock, rcuReadUnlock } from '../../src/locks/rcu.ts';
import { spinLock, spinUnlock } from '../../src/locks/spinLock.ts';
import { vmaEndRead, vmaLockInit, vmaMarkAttached, vmaStartRead, vmaStartWrite } from '../../src/locks/vmaLock.ts';
import { bootMachine } from '../../src/mm/boot.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import type { Kernel } from '../support/kernel.ts';
import { programOf } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';

interface Objects {
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
  readonly table: PageTablePtr;
}

type Body = (task: Task, objects: Objects) => Sim<void>;

function setup(kernel: Kernel): Sim<Objects> {
  const { task, heap } = kernel;
  const mm = mmAlloc(task);
  const vma = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
  setVmaMm(heap, vma, mm);
  vmaLockInit(heap, vma);
  mmapWriteLock(task, mm);
  vmaMarkAttached(task, vma);
  mmapWriteUnlock(task, mm);
  const table = kmemCacheAlloc(task, CACHES.pageTable) as PageTablePtr;
  initTable(heap, table, LEVEL_PTE, mm, 0 as Vpn);
  return { mm, vma, table };
}

/** What is found when one task runs `body`; each under a few schedules with a bystander. */
function check(body: Body): Failure | null {
  const locks = new HeldLocks();
  const bystander: Body = (task: Task, { mm }: Objects): Sim<void> => {
    mmapReadLock(task, mm);
    mmapReadUnlock(task, mm);
  };
  const program = programOf<Objects>({ boot: bootMachine, setup, threads: [body, bystander], locks });
  return explore({ ...program, observers: [new LockGuards(locks)], executions: 50, seed: 1 }).firstFailure;
}

const violation = (body: Body): string => check(body)?.violations[0].signature ?? 'nothing';

/** Runs `body` inside the mmap lock and the VMA's, both for write. */
function writeLocked(body: Body): Body {
  return (task: Task, objects: Objects): Sim<void> => {
    mmapWriteLock(task, objects.mm);
    vmaStartWrite(task, objects.mm, objects.vma);
    body(task, objects);
    mmapWriteUnlock(task, objects.mm);
  };
}

function readLocked(body: Body): Body {
  return (task: Task, objects: Objects): Sim<void> => {
    mmapReadLock(task, objects.mm);
    body(task, objects);
    mmapReadUnlock(task, objects.mm);
  };
}

function vmaReadLocked(body: Body): Body {
  return (task: Task, objects: Objects): Sim<void> => {
    rcuReadLock(task);
    const locked = vmaStartRead(task, objects.mm, objects.vma);
    rcuReadUnlock(task);
    if (!locked) return;
    body(task, objects);
    vmaEndRead(task, objects.vma);
  };
}

const move: Body = (task: Task, { vma }: Objects): Sim<void> => setVmaStart(task.heap, vma, 7 as Vpn);
const look: Body = (task: Task, { vma }: Objects): Sim<void> => {
  vmaStart(task.heap, vma);
};
const setFlags: Body = (task: Task, { vma }: Objects): Sim<void> => setVmaFlags(task.heap, vma, 1);
const count: Body = (task: Task, { mm }: Objects): Sim<void> =>
  setMmMapCount(task.heap, mm, mmMapCount(task.heap, mm) + 1);
const setPte: Body = (task: Task, { table }: Objects): Sim<void> =>
  writeOncePte(task.heap, entryAt(table, 3 as Vpn, LEVEL_PTE), 0 as PteVal);

describe.runIf(explored)('VMA fields', () => {
  it('change under the mmap lock and the VMA lock, both for write', () => {
    expect(violation(writeLocked(move))).toBe('nothing');
    expect(violation(writeLocked(setFlags))).toBe('nothing');
    expect(violation(move)).toBe('lock-held vm_area_struct.start plain write');
    expect(violation(readLocked(move))).toBe('lock-held vm_area_struct.start plain write');
    expect(violation(vmaReadLocked(setFlags))).toBe('lock-held vm_area_struct.flags WRITE_ONCE');
  });

  it('are read under any of them, and not without', () => {
    expect(violation(readLocked(look))).toBe('nothing');
    expect(violation(vmaReadLocked(look))).toBe('nothing');
    expect(violation(writeLocked(look))).toBe('nothing');
    expect(violation(look)).toBe('lock-held vm_area_struct.start plain read');
  });

  it('the VMA write lock ends with the mmap lock', () => {
    const late: Body = (task: Task, objects: Objects): Sim<void> => {
      mmapWriteLock(task, objects.mm);
      vmaStartWrite(task, objects.mm, objects.vma);
      mmapWriteUnlock(task, objects.mm);
      mmapWriteLock(task, objects.mm);
      move(task, objects);
      mmapWriteUnlock(task, objects.mm);
    };
    expect(violation(late)).toBe('lock-held vm_area_struct.start plain write');
  });

  it('the report says what guards the field and what was held', () => {
    const { violations } = check(readLocked(move))!;
    expect(violations[0].title).toBe('vm_area_struct.start is written without its lock');
    expect(violations[0].evidence.slice(1)).toEqual([
      'guarded by mmap write + VMA write + rmap write',
      'held: &mm->mmap_lock (read)',
    ]);
    expect(violations[0].accesses).toHaveLength(1);
  });
});

describe.runIf(explored)('other structs', () => {
  it('counts of the mm', () => {
    expect(violation(writeLocked(count))).toBe('nothing');
    expect(violation(readLocked(count))).toBe('lock-held mm_struct.mapCount plain write');
    expect(violation(count)).toBe('lock-held mm_struct.mapCount plain read');
  });

  it('page-table entries are written under their table lock, and read by anybody', () => {
    const locked: Body = (task: Task, objects: Objects): Sim<void> => {
      spinLock(task, tableLock(objects.table));
      setPte(task, objects);
      spinUnlock(task, tableLock(objects.table));
      readOncePte(task.heap, entryAt(objects.table, 3 as Vpn, LEVEL_PTE));
    };
    expect(violation(locked)).toBe('nothing');
    expect(violation(setPte)).toBe('lock-held page_table.entry WRITE_ONCE');
  });
});

describe.runIf(explored)('an object of one task', () => {
  it('needs no lock until somebody else touches it', () => {
    const build: Body = (task: Task): Sim<void> => {
      const vma = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
      setVmaStart(task.heap, vma, 1 as Vpn);
      vmaStart(task.heap, vma);
    };
    expect(violation(build)).toBe('nothing');
  });

  it('and needs it from then on', () => {
    const locks = new HeldLocks();
    const publisher = (task: Task, { at }: { readonly at: number }): Sim<void> => {
      const vma = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
      store(task.heap, at, vma);
      vmaStart(task.heap, vma);
      setVmaStart(task.heap, vma, 1 as Vpn);
    };
    const visitor = (task: Task, { at }: { readonly at: number }): Sim<void> => {
      const vma = load(task.heap, at) as VmaPtr;
      if (vma !== 0) setVmaStart(task.heap, vma, 2 as Vpn);
    };
    const words = (kernel: Kernel): Sim<{ readonly at: number }> => ({ at: kernel.words(1) });
    const program = programOf({ setup: words, threads: [publisher, visitor], locks });
    const found = explore({
      ...program,
      observers: [new LockGuards(locks)],
      executions: 200,
      seed: 1,
      keepGoing: true,
    });
    expect(found.verdicts.violation).toBeGreaterThan(0);
    // Only when the visitor came to it: by itself the publisher is alone.
    expect(found.verdicts.done).toBeGreaterThan(0);
  });

  it('the discipline is broken where no race is: nobody was near', () => {
    const program = programOf<Objects>({ boot: bootMachine, setup, threads: [move] });
    expect(explore({ ...program, observers: [new DataRaces()], executions: 5 }).firstFailure).toBeNull();
    expect(violation(move)).not.toBe('nothing');
  });
});
