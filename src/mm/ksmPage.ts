/**
 * Pages as KSM sees them: which node a merged page has, what is in a page, and how a page is found at an address.
 *
 * Lock order here: mmapLock > ptl.
 *
 * Kernel: folio_stable_node(), calc_checksum(), memcmp_pages(), folio_walk_start() as mm/ksm.c uses it. Not modelled: huge pages.
 */

import { pageWords } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_ANON_VMA,
  NO_PFN,
  NO_TABLE,
  NO_VMA,
  type MmPtr,
  type Pfn,
  type StableNodePtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import {
  PG_locked,
  makeKsmMapping,
  mappingIsAnon,
  mappingStableNode,
  pageContent,
  readOncePageFlags,
  readOncePageMapping,
  writeOncePageMapping,
  zeroPfn,
} from '../layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { pteIsPresent, ptePfn } from '../layout/pte.ts';
import { VM_MERGEABLE, vmaAnonVma, vmaFlags } from '../layout/vma.ts';
import { ksmTestExit } from './ksmSlots.ts';
import { folioGet } from './pageRef.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { vmaLookup } from './vmaTree.ts';

/** folio_stable_node(): 0 for a page that is no KSM page, or one that is in no tree. Stable under the folio lock. */
export function folioStableNode(task: Task, pfn: Pfn): Sim<StableNodePtr> {
  return mappingStableNode(readOncePageMapping(task.heap, pfn));
}

/** folio_set_stable_node(): makes the page a KSM page, of `node` or (0) of none yet. @locked folio lock */
export function folioSetStableNode(task: Task, pfn: Pfn, node: StableNodePtr): Sim<void> {
  assert((readOncePageFlags(task.heap, pfn) & PG_locked) !== 0, 'ksm: mapping of an unlocked folio changed');
  task.check?.guardedWrite(task, 'folioMapping', pfn);
  writeOncePageMapping(task.heap, pfn, makeKsmMapping(node));
}

/** memcmp_pages(): the order of two pages by their contents; others may write to them meanwhile. */
export function comparePages(task: Task, a: Pfn, b: Pfn): Sim<number> {
  const { heap } = task;
  const words = pageWords(heap);
  for (let word = 0; word < words; word++) {
    const order = pageContent(heap, a, word) - pageContent(heap, b, word);
    if (order !== 0) return order;
  }
  return 0;
}

/** calc_checksum(): never 0, which stands for a page that was not looked at. */
export function pageChecksum(task: Task, pfn: Pfn): Sim<number> {
  const { heap } = task;
  const words = pageWords(heap);
  let sum = 0x811c_9dc5;
  for (let word = 0; word < words; word++) {
    sum = Math.imul(sum ^ pageContent(heap, pfn, word), 0x0100_0193);
    sum ^= sum >>> 15;
  }
  return sum === 0 ? 1 : sum;
}

/** find_mergeable_vma(): the VMA at `vpn` if KSM may work there, or 0. @locked mmapLock */
export function findMergeableVma(task: Task, mm: MmPtr, vpn: Vpn): Sim<VmaPtr> {
  if (ksmTestExit(task, mm)) return NO_VMA;
  const vma = vmaLookup(task, mm, vpn);
  return vma !== NO_VMA && isMergeable(task, vma) ? vma : NO_VMA;
}

/** A VMA with mergeable memory that was ever faulted in. @locked mmapLock */
export function isMergeable(task: Task, vma: VmaPtr): Sim<boolean> {
  const { heap } = task;
  return (vmaFlags(heap, vma) & VM_MERGEABLE) !== 0 && vmaAnonVma(heap, vma) !== NO_ANON_VMA;
}

/** The anonymous page at an address with a reference, or 0: absent, in motion, the zero page. @locked mmapLock */
export function followAnonPage(task: Task, mm: MmPtr, vpn: Vpn): Sim<Pfn> {
  const { heap } = task;
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return NO_PFN;
  const value = readOncePte(heap, entryAt(table, vpn, LEVEL_PTE));
  const pfn = pteIsPresent(value) ? ptePfn(value) : NO_PFN;
  const isAnon = pfn !== NO_PFN && pfn !== zeroPfn(heap) && mappingIsAnon(readOncePageMapping(heap, pfn));
  if (isAnon) folioGet(task, pfn);
  pteUnmapUnlock(task, table);
  return isAnon ? pfn : NO_PFN;
}
