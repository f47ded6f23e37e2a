/** VMAs change while others fault, look them up or lock everything. Under the newest rules an access sees one state or the other. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, NO_VMA, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { vmaEnd, vmaMm, vmaStart } from '../../src/layout/vma.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { vmaEndRead } from '../../src/locks/vmaLock.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { createInitStackVma, execShiftStack } from '../../src/mm/relocateVma.ts';
import { SEGV_ACCERR, SEGV_MAPERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { lockVmaUnderRcu } from '../../src/mm/vma.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { Kernel } from '../support/kernel.ts';
import { failureOf } from '../support/failure.ts';
import { simConcurrent, simExplore, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { beginMigration, endMigration, openSandbox, pfnAtVpn, type Sandbox } from './sandbox.ts';
import { stallStrategy } from '../../src/explore/stallStrategy.ts';
import { BASE, drawPages, drawVmas, runScript } from './vmaScript.ts';

interface Shared {
  readonly box: Sandbox;
  /** A page whose migration is under way. */
  readonly pfn?: Pfn;
}

/** More points than the threads of most tests have together; the longest thread of a test comes last. */
const STALLS = 1500;
const SIZE = { frames: 32, pageTables: 24, mms: 4, vmas: 24, anonVmas: 16, anonVmaChains: 48 } as const;
const page = (n: number): Vpn => (BASE + n) as Vpn;

/** A process after a script. */
function after(script: string): (kernel: Kernel) => Sim<Shared> {
  return (kernel: Kernel): Sim<Shared> => {
    const box = openSandbox(kernel);
    runScript(box, script);
    return { box };
  };
}

/** A thread that runs a script. */
function does(script: string): (task: Task, shared: Shared) => Sim<void> {
  return (task: Task, { box }: Shared): Sim<void> => {
    task.mm = box.mm;
    runScript({ ...box, task }, script);
  };
}

/** A thread that reads a page and must meet one of the results, given as errors or letters (0 for a zero page). */
function reads(n: number, results: readonly (number | string)[]): (task: Task, shared: Shared) => Sim<void> {
  return (task: Task, { box }: Shared): Sim<void> => {
    task.mm = box.mm;
    const error = userRead(task, page(n), 0);
    expect(results).toContain(error === 0 ? contents(task.loaded) : error);
  };
}

function contents(value: number): string {
  return value === 0 ? '0' : String.fromCharCode(value);
}

/** A thread that writes a page and reads it back, unless it may not. */
function writes(n: number, letter: string): (task: Task, shared: Shared) => Sim<void> {
  return (task: Task, { box }: Shared): Sim<void> => {
    task.mm = box.mm;
    const error = userWrite(task, page(n), 0, letter.charCodeAt(0));
    if (error === 0) return;
    expect([SEGV_MAPERR, SEGV_ACCERR]).toContain(error);
  };
}

/** Nothing is wrong with the machine, and the first pages look like this. */
function leaves(...pictures: readonly string[]): (kernel: Kernel, shared: Shared) => Sim<void> {
  return (kernel: Kernel, { box }: Shared): Sim<void> => {
    rcuBarrier(kernel.task);
    expect(checkQuiescent(kernel.heap).map(({ title }) => title)).toEqual([]);
    if (pictures.length === 0) return;
    const nr = pictures[0].replace(/ .*/, '').replaceAll('|', '').length;
    const fresh = { ...box, task: kernel.task };
    expect(pictures).toContain(`${drawVmas(kernel.heap, box.mm, 0, nr)} ${drawPages(fresh, 0, nr)}`);
  };
}

type Race = Partial<Concurrent<Shared>> & Pick<Concurrent<Shared>, 'setup' | 'threads'>;

function race(rest: Race, rules: Rules = LINUX_7_0): Concurrent<Shared> {
  return { ...mmKernel(rules, SIZE), executions: 40, ...rest };
}

/** Random schedules, and each thread stalled once at each of its points. */
function raceTest(name: string, rest: Race): void {
  simConcurrent(name, race(rest));
  simExplore(
    `${name}, one of them stalled`,
    { ...race(rest), strategy: stallStrategy(), executions: STALLS },
    ({ firstFailure }) => {
      if (firstFailure !== null) throw failureOf(firstFailure);
    },
  );
}

describe('an access during', () => {
  raceTest('munmap of its page', {
    setup: after('map 0 4 rw\n write 0 abcd'),
    threads: [does('unmap 1 2'), reads(1, ['b', SEGV_MAPERR]), writes(2, 'x')],
    check: leaves('w..w a..d'),
  });
  raceTest('munmap of another page', {
    setup: after('map 0 4 rw\n write 0 abcd'),
    threads: [does('unmap 1 2'), reads(0, ['a']), writes(3, 'x')],
    check: leaves('w..w a..x'),
  });
  raceTest('replacement by mmap: never nothing', {
    setup: after('map 0 4 rw\n write 0 abcd'),
    threads: [does('map 1 2 r'), reads(1, ['b', '0']), reads(2, ['c', '0'])],
    check: leaves('w|rr|w a00d', 'w|rr|w a__d', 'w|rr|w a0_d', 'w|rr|w a_0d'),
  });
  raceTest('mprotect', {
    setup: after('map 0 4 rw\n write 0 ab'),
    threads: [does('protect 1 2 r'), reads(1, ['b']), writes(2, 'x')],
    check: leaves('w|rr|w ab__', 'w|rr|w abx_', 'w|rr|w ab0_'),
  });
  raceTest('mprotect to and fro, with merging', {
    setup: after('map 0 4 rw nr'),
    threads: [does('protect 1 2 r\n protect 1 2 rw'), writes(0, 'x'), writes(3, 'y')],
    // What is faulted in while the middle is apart may get an anon_vma of its own.
    check: leaves('wwww x__y', 'www|w x__y', 'w|www x__y', 'w|ww|w x__y'),
  });
  raceTest('mremap away', {
    setup: after('map 0 4 rw\n write 0 abcd'),
    threads: [does('move 1 2 20'), reads(1, ['b', SEGV_MAPERR]), reads(21, ['c', SEGV_MAPERR])],
    check: leaves('w..w a..d'),
  });
  raceTest('mremap that keeps the source', {
    setup: after('map 0 4 rw\n write 0 abcd'),
    threads: [does('keep 0 4 20'), reads(1, ['b', '0']), reads(22, ['c', SEGV_MAPERR])],
    check: leaves('wwww ____', 'wwww _0__'),
  });
  raceTest('growth in place, of an unfaulted VMA', {
    setup: after('map 0 2 rw\n map 4 2 rw'),
    threads: [does('remap 0 2 4 - = 0'), writes(1, 'x'), writes(4, 'y')],
    check: leaves('wwwwww _x__y_', 'wwww|ww _x__y_'),
  });
});

describe('first writes', () => {
  raceTest('into one VMA share one anon_vma', {
    setup: after('map 0 4 rw'),
    threads: [writes(0, 'x'), writes(1, 'y'), writes(2, 'z')],
    check: leaves('wwww xyz_'),
  });
  raceTest('into neighbours leave them mergeable or not, but whole', {
    setup: after('map 0 2 rw nr\n map 2 2 r nr'),
    threads: [writes(0, 'x'), does('protect 2 2 rw\n write 2 y'), does('map 4 2 rw nr')],
    check: leaves('wwwwww x_y___', 'ww|wwww x_y___', 'wwww|ww x_y___', 'ww|ww|ww x_y___'),
  });
});

describe('lockVmaUnderRcu', () => {
  const locks = (n: number): ((task: Task, shared: Shared) => Sim<void>) => {
    return (task: Task, { box }: Shared): Sim<void> => {
      const { heap } = task;
      for (let round = 0; round < 2; round++) {
        const vma = lockVmaUnderRcu(task, box.mm, page(n));
        if (vma === NO_VMA) continue;
        // Read one after the other: while we hold the lock nothing of this may change.
        const start = vmaStart(heap, vma);
        const end = vmaEnd(heap, vma);
        assert(vmaMm(heap, vma) === box.mm, 'locked a VMA of another address space');
        assert(start <= page(n) && page(n) < end, 'locked a VMA that is elsewhere');
        assert(vmaStart(heap, vma) === start && vmaEnd(heap, vma) === end, 'a locked VMA changed');
        vmaEndRead(task, vma);
      }
    };
  };
  raceTest('never yields a recycled VMA', {
    setup: after('map 0 2 rw\n map 4 2 r'),
    threads: [does('unmap 0 2\n map 20 2 rw\n map 0 1 r'), locks(1), locks(0)],
    check: leaves('r...rr _...__'),
  });
  raceTest('never yields a VMA that is being split or merged', {
    setup: after('map 0 4 rw'),
    threads: [does('protect 1 2 r\n protect 1 2 rw'), locks(1), locks(3)],
    check: leaves('wwww ____'),
  });
  raceTest('nor one that another process recycled', {
    setup: after('map 0 2 rw'),
    threads: [
      does('unmap 0 2'),
      (task: Task, { box }: Shared): Sim<void> => {
        const child = dupMm(task, box.mm);
        assert(child > 0, 'fork failed');
        mmput(task, child as MmPtr);
      },
      locks(1),
    ],
    check: leaves('.. ..'),
  });
});

describe('two that change VMAs', () => {
  raceTest('munmap each', {
    setup: after('map 0 6 rw\n write 0 abcdef'),
    threads: [does('unmap 1 2'), does('unmap 2 2'), does('unmap 4 1')],
    check: leaves('w....w a....f'),
  });
  raceTest('shrink and map', {
    setup: after('map 0 4 rw\n write 0 abcd'),
    threads: [does('remap 0 4 2 - = 0'), does('map 2 2 r'), reads(0, ['a'])],
    check: leaves('ww|rr ab__', 'ww.. ab..'),
  });
  raceTest('fork and munmap', {
    setup: after('map 0 4 rw\n write 0 abcd\n protect 2 2 r'),
    threads: [
      does('unmap 1 2'),
      writes(0, 'x'),
      (task: Task, { box }: Shared): Sim<void> => {
        const child = dupMm(task, box.mm);
        assert(child > 0, 'fork failed');
        mmput(task, child as MmPtr);
      },
    ],
    check: leaves('w..r x..d'),
  });
});

/** mmu_notifier_register(). */
function takesAll(task: Task, { box }: Shared): Sim<void> {
  mmapWriteLock(task, box.mm);
  const error = mmTakeAllLocks(task, box.mm);
  assert(error === 0, 'take all locks failed');
  mmDropAllLocks(task, box.mm);
  mmapWriteUnlock(task, box.mm);
}

function migrates(task: Task, { box }: Shared): Sim<void> {
  task.mm = NO_MM;
  migrateRange(task, box.mm, page(0), 4, 'sync');
}

describe('mmTakeAllLocks', () => {
  const setup: (kernel: Kernel) => Sim<Shared> = after('map 0 2 rw\n map 4 2 r\n map 2 1 rw\n write 0 a\n write 2 c');
  raceTest('between faults and migration', { setup, threads: [takesAll, writes(1, 'x'), migrates], check: leaves() });
  raceTest('twice', { setup, threads: [takesAll, takesAll, does('protect 1 1 r')], check: leaves() });
});

describe('the temporary stack of exec', () => {
  const STACK = 100;
  const setup = (kernel: Kernel): Sim<Shared> => {
    const box = openSandbox(kernel);
    const error = createInitStackVma(box.task, page(STACK + 2), 2);
    assert(error === 0, 'no stack');
    runScript(box, `map 0 1 rw\n write 0 z\n write ${STACK} ab`);
    return { box };
  };
  const expectPage = (task: Task, n: number, letter: string): Sim<void> => {
    expect(userRead(task, page(n), 0)).toBe(0);
    expect(contents(task.loaded)).toBe(letter);
  };
  const shifts = (task: Task, { box }: Shared): Sim<void> => {
    task.mm = box.mm;
    const error = execShiftStack(task, page(STACK), 50);
    assert(error === 0, 'the stack did not move');
    expectPage(task, STACK - 50, 'a');
    expectPage(task, STACK - 49, 'b');
    expect(userRead(task, page(STACK), 0)).toBe(SEGV_MAPERR);
  };
  const migratesStack = (task: Task, { box }: Shared): Sim<void> => {
    task.mm = NO_MM;
    migrateRange(task, box.mm, page(STACK), 2, 'sync');
  };
  const migrating = (kernel: Kernel): Sim<Shared> => {
    const { box } = setup(kernel);
    const pfn = pfnAtVpn(box, page(STACK));
    beginMigration(box, pfn);
    return { box, pfn };
  };
  const ends = (task: Task, { box, pfn }: Shared): Sim<void> => {
    assert(pfn !== undefined, 'no page is migrating');
    // About as long as exec needs to widen the stack: schedulers that are fair get here too.
    task.mm = box.mm;
    for (let i = 0; i < 6; i++) expect(userRead(task, page(0), 0)).toBe(0);
    endMigration({ ...box, task4: task }, pfn);
  };
  raceTest('is left alone by migration', { setup, threads: [shifts, migratesStack], check: leaves() });
  raceTest('is left alone by one under way', { setup: migrating, threads: [shifts, ends], check: leaves() });
  simExplore(
    'is lost to one under way that does not know it',
    {
      ...race({ setup: migrating, threads: [shifts, ends] }, { ...LINUX_7_0, migrate: { skipTemporaryStack: false } }),
      executions: 300,
    },
    ({ firstFailure }) => {
      expect(firstFailure?.violations[0].kind).toBe('dangling-migration-entry');
    },
  );
});
