/** The pieces lockdep is made of, each by itself. */
import { describe, expect, it } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import { anonVmaRwSem } from '../../src/layout/anonVma.ts';
import { mmAllLocksMutex } from '../../src/layout/globals.ts';
import type { AnonVmaPtr, MmPtr, PageTablePtr } from '../../src/layout/ids.ts';
import {
  CLASS_ANON_VMA_RWSEM,
  CLASS_MMAP_LOCK,
  CLASS_MM_ALL_LOCKS_MUTEX,
  CLASS_NONE,
  CLASS_PMD_LOCK,
  CLASS_PTE_LOCK,
} from '../../src/layout/lockClass.ts';
import { MM, mmMmapLock } from '../../src/layout/mm.ts';
import { LEVEL_PMD, LEVEL_PTE, TABLE, initTable, tableLock } from '../../src/layout/pageTable.ts';
import {
  NO_CHAIN,
  addChain,
  chainHasSameClass,
  chainTrace,
  chainWord,
  findChain,
  rootChain,
} from '../../src/lockdep/chainCache.ts';
import { arenaIdentity } from '../../src/lockdep/lockIdentity.ts';
import { LOCKDEP_SMALL, SECTION, attachSection, hasLockdep, lockdepWords } from '../../src/lockdep/section.ts';
import { internTrace, readTrace } from '../../src/lockdep/textPool.ts';
import { callerFrame, parseStack, stackTrace } from '../../src/lockdep/trace.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { createTestHeap } from './harness.ts';

describe('section', () => {
  it('is there only after it was prepared', () => {
    const heap = createMachine({ ...SMALL_MACHINE, lockdepWords: lockdepWords(SMALL_MACHINE.cpus) });
    expect(hasLockdep(heap)).toBe(false);
    expect(hasLockdep(createMachine(SMALL_MACHINE))).toBe(false);
    expect(() => attachSection(heap)).toThrow('no section');
    expect(hasLockdep(createTestHeap())).toBe(true);
  });

  it('keeps its sizes for whoever attaches', () => {
    expect(attachSection(createTestHeap()).size).toEqual(LOCKDEP_SMALL);
  });

  it('refuses an arena with too little room', () => {
    const small = lockdepWords(SMALL_MACHINE.cpus, { ...LOCKDEP_SMALL, chains: 16 });
    expect(small).toBeLessThan(lockdepWords(SMALL_MACHINE.cpus));
  });
});

describe('text pool', () => {
  it('stores each trace once and gives it back', () => {
    const section = attachSection(createTestHeap());
    const traces = [['a@b.ts:1', 'outer@c.ts:22'], ['outer@c.ts:22'], ['x'.repeat(301)]];
    const numbers = traces.map((trace) => internTrace(section, trace));
    const used = section.heap[section.base + SECTION.textUsed];
    expect(traces.map((trace) => internTrace(section, trace))).toEqual(numbers);
    expect(section.heap[section.base + SECTION.textUsed]).toBe(used);
    expect(numbers.map((number) => readTrace(section, number))).toEqual(traces);
  });

  it('an empty trace is none; what does not fit neither', () => {
    const section = attachSection(createTestHeap({ ...LOCKDEP_SMALL, textWords: 32 }));
    expect(internTrace(section, [])).toBe(0);
    expect(internTrace(section, ['y'.repeat(400)])).toBe(0);
    expect(readTrace(section, 0)).toEqual([]);
  });

  it('writes other than ASCII as question marks', () => {
    const section = attachSection(createTestHeap());
    expect(readTrace(section, internTrace(section, ['größe@ä.ts:1']))).toEqual(['gr??e@?.ts:1']);
  });
});

describe('chains', () => {
  it('a word tells apart all that a check depends on', () => {
    const words = new Set<number>();
    let count = 0;
    for (const below of [1, 16384, rootChain(0), rootChain(255)]) {
      for (const node of [1, 128, 255]) {
        for (const nest of [0, 1, 48, 63]) {
          for (const read of [0, 1, 2] as const) {
            for (const trylock of [false, true]) {
              words.add(chainWord(below, node, nest, read, trylock));
              count++;
            }
          }
        }
      }
    }
    expect(words.size).toBe(count);
  });

  it('are found again with what was stored, up to three quarters of the slots', () => {
    const section = attachSection(createTestHeap({ ...LOCKDEP_SMALL, chains: 16 }));
    const words = Array.from({ length: 12 }, (_, i) => chainWord(rootChain(0), i + 1, 0, 0, false));
    const chains = words.map((word, i) => addChain(section, word, i, i % 2 === 1));
    expect(words.map((word) => findChain(section, word))).toEqual(chains);
    expect(chains.map((chain) => chainTrace(section, chain))).toEqual(words.map((_, i) => i));
    expect(chains.map((chain) => chainHasSameClass(section, chain))).toEqual(words.map((_, i) => i % 2 === 1));
    expect(addChain(section, chainWord(rootChain(0), 99, 0, 0, false), 0, false)).toBe(NO_CHAIN);
    expect(findChain(section, chainWord(rootChain(0), 99, 0, 0, false))).toBe(NO_CHAIN);
  });
});

describe('traces', () => {
  const stack = [
    'Error',
    '    at stackTrace (file:///x/src/lockdep/trace.ts:30:21)',
    '    at Lockdep.acquire (file:///x/src/lockdep/lockdep.ts:100:5)',
    '    at acquireSleeping (file:///x/src/locks/lockHooks.ts:40:11)',
    '    at Object.downWrite (/x/src/locks/rwSem.ts:110:3)',
    '    at downWrite.next (<anonymous>)',
    '    at Kernel.sysMunmap (file:///x/src/mm/munmap.ts?v=1:88:9)',
    '    at file:///x/stress/ops/munmap.ts:5:1',
    '    at runTest (file:///x/node_modules/vitest/run.js:1:1)',
    '    at later (file:///x/src/mm/never.ts:1:1)',
  ].join('\n');

  it('begin below the hook and end where the project does', () => {
    expect(parseStack(stack)).toEqual([
      'acquireSleeping@src/locks/lockHooks.ts:40',
      'downWrite@src/locks/rwSem.ts:110',
      'sysMunmap@src/mm/munmap.ts:88',
      '(top level)@stress/ops/munmap.ts:5',
    ]);
  });

  it('the place of a lock is the first frame outside the primitives', () => {
    expect(callerFrame(parseStack(stack))).toBe('sysMunmap@src/mm/munmap.ts:88');
    expect(callerFrame(['downWrite@dist/a.mjs:1', 'sysMremap@dist/a.mjs:2'])).toBe('sysMremap@dist/a.mjs:2');
    expect(callerFrame(['spinLock@src/locks/spinLock.ts:1'])).toBe('spinLock@src/locks/spinLock.ts:1');
    expect(callerFrame([])).toBeUndefined();
  });

  it('the running code is found, and the stack limit put back', () => {
    const before = Error.stackTraceLimit;
    expect(stackTrace().join()).toMatch(/test\/lockdep\/parts\.test\.ts:\d+/);
    expect(Error.stackTraceLimit).toBe(before);
  });
});

describe('identity', () => {
  it('a lock is known by the object it lies in, and changes with it', () => {
    const heap = createTestHeap();
    const { classAt, generation } = arenaIdentity(heap);
    const anonVma = slabAlloc(heap, 0, CACHES.anonVma) as AnonVmaPtr;
    const before = generation(anonVmaRwSem(anonVma));
    slabFree(heap, 0, CACHES.anonVma, anonVma);
    expect(slabAlloc(heap, 0, CACHES.anonVma)).toBe(anonVma);
    expect(generation(anonVmaRwSem(anonVma))).toBe(before + 2);
    expect(generation(mmAllLocksMutex(heap))).toBe(0);
    const mm = slabAlloc(heap, 0, CACHES.mm) as MmPtr;
    const tables = [LEVEL_PTE, LEVEL_PMD].map((level) => {
      const table = slabAlloc(heap, 0, CACHES.pageTable) as PageTablePtr;
      initTable(heap, table, level, mm, 0 as Vpn);
      return table;
    });
    const locks = [anonVmaRwSem(anonVma), mmMmapLock(mm), mmAllLocksMutex(heap), ...tables.map(tableLock)];
    expect(locks.map(classAt)).toEqual([
      CLASS_ANON_VMA_RWSEM,
      CLASS_MMAP_LOCK,
      CLASS_MM_ALL_LOCKS_MUTEX,
      CLASS_PTE_LOCK,
      CLASS_PMD_LOCK,
    ]);
    expect([mm + MM.users, tables[0] + TABLE.entries, 3].map(classAt)).toEqual([CLASS_NONE, CLASS_NONE, CLASS_NONE]);
  });
});
