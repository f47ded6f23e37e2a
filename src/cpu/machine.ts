/**
 * A machine of given size: the layouts' sizes filled into an arena plan. Booting the simulated kernel on it (lock classes,
 * zero page) is src/mm/boot.ts.
 */

import { createArena } from '../arena/arena.ts';
import type { Heap } from '../arena/heap.ts';
import { SLAB_TYPESAFE_BY_RCU } from '../arena/slab.ts';
import { ADDRESS_SPACE_WORDS, XA_NODE_WORDS } from '../layout/addressSpace.ts';
import { ANON_VMA_WORDS, AVC_WORDS } from '../layout/anonVma.ts';
import { hugePlaces } from '../layout/hugetlb.ts';
import { GLOBAL_WORDS, WAIT_BUCKET_WORDS } from '../layout/globals.ts';
import { KSM_MM_SLOT_WORDS, RMAP_ITEM_WORDS, STABLE_NODE_WORDS } from '../layout/ksm.ts';
import { MM_WORDS } from '../layout/mm.ts';
import { PAGE_STRUCT_WORDS, hugeContentsWords } from '../layout/page.ts';
import { PAGE_TABLE_WORDS } from '../layout/pageTable.ts';
import { TASK_WORDS } from '../layout/task.ts';
import { tlbWords } from '../layout/tlb.ts';
import { VMA_WORDS } from '../layout/vma.ts';
import { vmaNodeWords } from '../layout/vmaNode.ts';

/** Upper bounds of everything the machine can hold. */
export interface MachineSize {
  readonly cpus: number;
  readonly frames: number;
  readonly pageTables: number;
  readonly mms: number;
  readonly vmas: number;
  readonly anonVmas: number;
  readonly anonVmaChains: number;
  /** VMA tree nodes of the capacities 16, 64, 256, 1024. */
  readonly vmaNodes: readonly [number, number, number, number];
  /** Objects of shared mappings, and nodes of their page indexes. */
  readonly addressSpaces: number;
  readonly xaNodes: number;
  /** Huge pages of the hugetlb pool, 0 .. 24. */
  readonly hugePages: number;
  /** KSM's records of pages and of merged pages. Of mms there are as many as mms. */
  readonly rmapItems: number;
  readonly stableNodes: number;
  readonly pageWords: number;
  readonly tlbEntries: number;
  readonly magazine: number;
  readonly alignWords: number;
  readonly waitBuckets: number;
  readonly lockdepWords: number;
  readonly userWords: number;
}

/** Two CPUs, a few processes: what tests and explored scenarios run on (about 0.5 MiB; no magazines, LIFO reuse). */
export const SMALL_MACHINE: MachineSize = {
  cpus: 4,
  frames: 64,
  pageTables: 40,
  mms: 8,
  vmas: 64,
  anonVmas: 48,
  anonVmaChains: 192,
  vmaNodes: [24, 2, 0, 0],
  addressSpaces: 8,
  xaNodes: 16,
  hugePages: 0,
  rmapItems: 64,
  stableNodes: 24,
  pageWords: 4,
  tlbEntries: 16,
  magazine: 0,
  alignWords: 1,
  waitBuckets: 4,
  lockdepWords: 0,
  userWords: 0,
};

/** What stress runs on by default. */
export const STRESS_MACHINE: MachineSize = {
  cpus: 4,
  frames: 8192,
  pageTables: 2048,
  mms: 128,
  vmas: 32768,
  anonVmas: 32768,
  anonVmaChains: 131_072,
  vmaNodes: [1024, 512, 256, 128],
  addressSpaces: 4096,
  xaNodes: 8192,
  hugePages: 16,
  rmapItems: 32768,
  stableNodes: 8192,
  pageWords: 8,
  tlbEntries: 64,
  magazine: 16,
  alignWords: 16,
  waitBuckets: 256,
  lockdepWords: 0,
  userWords: 0,
};

/** Allocates the arena of a machine, not booted yet. @throws UsageError when it does not fit */
export function createMachine(size: MachineSize): Heap {
  const plain = (count: number, words: number) => ({ count, words, flags: 0 });
  const typesafe = (count: number, words: number) => ({ count, words, flags: SLAB_TYPESAFE_BY_RCU });
  const [nodes16, nodes64, nodes256, nodes1024] = size.vmaNodes;
  return createArena({
    cpus: size.cpus,
    objects: {
      // Struct pages outlive their use (lockless readers look at refcounts of free frames); contents are poisoned by the mm.
      frame: typesafe(size.frames, PAGE_STRUCT_WORDS + size.pageWords),
      pageTable: plain(size.pageTables, PAGE_TABLE_WORDS),
      mm: typesafe(size.mms, MM_WORDS),
      vma: typesafe(size.vmas, VMA_WORDS),
      anonVma: typesafe(size.anonVmas, ANON_VMA_WORDS),
      anonVmaChain: plain(size.anonVmaChains, AVC_WORDS),
      vmaNode16: plain(nodes16, vmaNodeWords(16)),
      vmaNode64: plain(nodes64, vmaNodeWords(64)),
      vmaNode256: plain(nodes256, vmaNodeWords(256)),
      vmaNode1024: plain(nodes1024, vmaNodeWords(1024)),
      addressSpace: plain(size.addressSpaces, ADDRESS_SPACE_WORDS),
      xaNode: plain(size.xaNodes, XA_NODE_WORDS),
      hugeContents: plain(hugePlaces(size.hugePages), hugeContentsWords(size.pageWords)),
      ksmMmSlot: plain(size.mms, KSM_MM_SLOT_WORDS),
      ksmRmapItem: plain(size.rmapItems, RMAP_ITEM_WORDS),
      ksmStableNode: plain(size.stableNodes, STABLE_NODE_WORDS),
    },
    pageWords: size.pageWords,
    tlbEntries: size.tlbEntries,
    magazine: size.magazine,
    alignWords: size.alignWords,
    taskWords: TASK_WORDS,
    tlbWords: tlbWords(size.tlbEntries),
    globalWords: GLOBAL_WORDS,
    waitBucketWords: WAIT_BUCKET_WORDS,
    waitBuckets: size.waitBuckets,
    lockdepWords: size.lockdepWords,
    userWords: size.userWords,
  });
}
