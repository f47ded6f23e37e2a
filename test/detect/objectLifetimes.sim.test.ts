/** Use after free and double free, at the step where they happen. */
import { describe, expect, it } from 'vitest';
import { fetchAdd, load, readOnce, store, writeOnce } from '../../src/arena/access.ts';
import { CACHES, type CacheId } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../../src/cpu/alloc.ts';
import type { Task } from '../../src/cpu/task.ts';
import { ObjectLifetimes } from '../../src/detect/objectLifetimes.ts';
import { explore, type Failure } from '../../src/explore/explore.ts';
import { ANON_VMA } from '../../src/layout/anonVma.ts';
import { PAGE, PAGE_STRUCT_WORDS } from '../../src/layout/page.ts';
import type { Kernel } from '../support/kernel.ts';
import { programOf } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';

interface Place {
  readonly object: number;
}

type Body = (task: Task, place: Place) => Sim<void>;

/** What is found when one task frees an object of the set-up and another touches it. */
function search(cache: CacheId, touch: Body): Failure | null {
  const setup = (kernel: Kernel): Sim<Place> => ({ object: kmemCacheAlloc(kernel.task, cache) });
  const free: Body = (task: Task, { object }: Place): Sim<void> => kmemCacheFree(task, cache, object);
  const program = programOf<Place>({ setup, threads: [free, touch] });
  return explore({ ...program, observers: [new ObjectLifetimes()], executions: 100, seed: 1 }).firstFailure;
}

const signature = (cache: CacheId, touch: Body): string => search(cache, touch)?.violations[0].signature ?? 'nothing';

const readWord = (offset: number): Body => {
  return (task: Task, { object }: Place): Sim<void> => {
    load(task.heap, object + offset);
  };
};
const markedRead = (offset: number): Body => {
  return (task: Task, { object }: Place): Sim<void> => {
    readOnce(task.heap, object + offset);
  };
};
const add = (offset: number): Body => {
  return (task: Task, { object }: Place): Sim<void> => {
    fetchAdd(task.heap, object + offset, 0);
  };
};
const write = (offset: number): Body => {
  return (task: Task, { object }: Place): Sim<void> => store(task.heap, object + offset, 1);
};

describe.runIf(explored)('use after free', () => {
  it('any access to a freed object', () => {
    expect(signature(CACHES.anonVmaChain, readWord(0))).toBe('use-after-free anon_vma_chain.vma plain read');
    expect(signature(CACHES.anonVmaChain, write(1))).toBe('use-after-free anon_vma_chain.anonVma plain write');
    expect(signature(CACHES.pageTable, markedRead(9))).toBe('use-after-free page_table.entry READ_ONCE');
  });

  it('of a type-safe object, what lockless lookups do not use', () => {
    expect(signature(CACHES.anonVma, add(ANON_VMA.refcount))).toBe('nothing');
    expect(signature(CACHES.anonVma, markedRead(ANON_VMA.root))).toBe('nothing');
    expect(signature(CACHES.anonVma, readWord(ANON_VMA.root))).toBe('use-after-free anon_vma.root plain read');
    expect(signature(CACHES.anonVma, readWord(ANON_VMA.rbRoot))).toBe('use-after-free anon_vma.rbRoot plain read');
    expect(signature(CACHES.frame, markedRead(PAGE.refcount))).toBe('nothing');
    expect(signature(CACHES.frame, markedRead(PAGE_STRUCT_WORDS))).toBe('use-after-free page.contents READ_ONCE');
  });

  it('both ends are named', () => {
    const { violations } = search(CACHES.anonVmaChain, readWord(0))!;
    expect(violations[0].accesses!.map(({ task }) => task)).toEqual([0, 1]);
    expect(violations[0].evidence[1]).toMatch(/^task 1, step \d+: it was freed$/);
  });

  it('not of an object that was allocated again', () => {
    const again: Body = (task: Task): Sim<void> => {
      const object = kmemCacheAlloc(task, CACHES.anonVmaChain);
      writeOnce(task.heap, object, 1);
      kmemCacheFree(task, CACHES.anonVmaChain, object);
    };
    expect(signature(CACHES.anonVmaChain, again)).toBe('nothing');
  });

  it('a double free', () => {
    const freeToo: Body = (task: Task, { object }: Place): Sim<void> =>
      kmemCacheFree(task, CACHES.anonVmaChain, object);
    expect(signature(CACHES.anonVmaChain, freeToo)).toBe('double free anon_vma_chain');
  });
});
