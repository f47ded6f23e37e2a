/**
 * Invariant 22, the heart of the rmap: every present or migration entry of a page is found by the walk. The VMA that covers the
 * address has an edge to the page's anon_vma, or maps the page's object, and its numbering maps the page's index to that address.
 * A page that KSM merged is found by the rmap_item of the mapping; one without an item was made by fork, and the scan has still to come by.
 * The walk is done here again from the layouts, with the tree's structure taken as it lies in memory.
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { iMmapTree } from '../layout/addressSpace.ts';
import { ANON_VMA, AVC } from '../layout/anonVma.ts';
import {
  NO_ADDRESS_SPACE,
  NO_STABLE_NODE,
  type AddressSpacePtr,
  type AnonVmaPtr,
  type MmPtr,
  type Pfn,
  type PteVal,
  type TreeNodePtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { RMAP_ITEM } from '../layout/ksm.ts';
import {
  PAGE,
  mappingAnonVma,
  mappingIsAnon,
  mappingIsKsm,
  mappingStableNode,
  nrFrames,
  pageAt,
  zeroPfn,
} from '../layout/page.ts';
import { pteIsMigration, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { TREE_NODE, TREE_ROOT } from '../layout/treeNode.ts';
import { VMA, treeNodeVma, vmaTreeNode } from '../layout/vma.ts';
import { describePage, describePlace, describeVma } from './describe.ts';
import { isLive, itemsOfNode } from './ksmView.ts';
import { avcsOf, forEachPte, isObject, liveMms, objectOfPage, treeRanges, type TreeRange } from './view.ts';

/** Checks every entry of every mm against a walk from its page. */
export function checkRmapReach(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const mm of liveMms(heap)) {
    const ranges = treeRanges(heap, mm);
    forEachPte(heap, mm, (vpn, value) => {
      const why = entryUnreachable(heap, mm, ranges, vpn, value);
      if (why !== null) violations.push(missed(heap, mm, vpn, value, why));
    });
  }
  return violations;
}

function missed(heap: Heap, mm: MmPtr, vpn: Vpn, value: PteVal, why: string): Violation {
  const pfn = ptePfn(value);
  return {
    kind: 'rmap-miss',
    title: `an rmap walk from pfn ${pfn} does not find ${describePlace(heap, mm, vpn)}: ${why}`,
    signature: `rmap walk misses an entry: ${why.replace(/\d+/g, 'N')}`,
    evidence: [describePage(heap, pfn)],
  };
}

/** Why a walk from the entry's page would not reach the entry, or null when it does. */
function entryUnreachable(heap: Heap, mm: MmPtr, ranges: readonly TreeRange[], vpn: Vpn, value: PteVal): string | null {
  const pfn = ptePfn(value);
  if (!pteIsPresent(value) && !pteIsMigration(value)) return null;
  if (pfn === zeroPfn(heap)) return null;
  if (pfn < 1 || pfn > nrFrames(heap)) return 'the entry names no frame';
  const range = ranges.find(({ start, end }) => start <= vpn && vpn < end);
  if (range === undefined) return 'no VMA covers the address';
  if (mappingIsKsm(heap[pageAt(heap, pfn) + PAGE.mapping])) return ksmPageUnreachable(heap, pfn, mm, range, vpn);
  return pageUnreachable(heap, pfn, range, vpn);
}

function pageUnreachable(heap: Heap, pfn: Pfn, range: TreeRange, vpn: Vpn): string | null {
  const mapping = heap[pageAt(heap, pfn) + PAGE.mapping];
  const object = objectOfPage(heap, pfn);
  if (object !== NO_ADDRESS_SPACE) return objectPageUnreachable(heap, pfn, object, range, vpn);
  if (!mappingIsAnon(mapping)) return 'the page has no anonymous mapping';
  const anonVma = mappingAnonVma(mapping);
  return vmaUnreachable(heap, anonVma, range.vma) ?? wrongAddress(heap, pfn, range, vpn);
}

/** Why a walk over an anon_vma would not come to the VMA, or null when it does. */
function vmaUnreachable(heap: Heap, anonVma: AnonVmaPtr, vma: VmaPtr): string | null {
  if (!isLive(heap, CACHES.anonVma, anonVma)) return "the page's anon_vma is freed";
  const avc = avcsOf(heap, vma).find((edge) => heap[edge + AVC.anonVma] === anonVma);
  if (avc === undefined) return "the VMA has no edge to the page's anon_vma";
  return treeHolds(heap, anonVma, avc) ? null : "the edge is not in the anon_vma's interval tree";
}

/** A KSM page: by the item that stands for the mapping, if there is one. Without a node no walk is made at all. */
function ksmPageUnreachable(heap: Heap, pfn: Pfn, mm: MmPtr, range: TreeRange, vpn: Vpn): string | null {
  const node = mappingStableNode(heap[pageAt(heap, pfn) + PAGE.mapping]);
  if (node === NO_STABLE_NODE) return null;
  if (!isLive(heap, CACHES.ksmStableNode, node)) return "the page's stable node is freed";
  const own = itemsOfNode(heap, node).find(
    (item) => heap[item + RMAP_ITEM.mm] === mm && heap[item + RMAP_ITEM.vpn] === vpn,
  );
  return own === undefined ? null : vmaUnreachable(heap, heap[own + RMAP_ITEM.anonVma] as AnonVmaPtr, range.vma);
}

function objectPageUnreachable(
  heap: Heap,
  pfn: Pfn,
  object: AddressSpacePtr,
  range: TreeRange,
  vpn: Vpn,
): string | null {
  if (!isObject(heap, CACHES.addressSpace, object) || !slabIsAllocated(heap, object))
    return "the page's object is freed";
  if (heap[range.vma + VMA.file] !== object) return 'the VMA maps another object';
  if (!nodeIsLinked(heap, object, range.vma)) return "the VMA is not in the object's tree";
  return wrongAddress(heap, pfn, range, vpn);
}

/** True when following parents from the VMA's node ends at the root of the object's tree. */
function nodeIsLinked(heap: Heap, object: AddressSpacePtr, vma: VmaPtr): boolean {
  let node: number = vmaTreeNode(vma);
  for (let depth = 0; depth < 64; depth++) {
    const parent = heap[node + TREE_NODE.parent];
    if (parent === 0) return heap[iMmapTree(object) + TREE_ROOT.root] === node;
    if (!isObject(heap, CACHES.vma, treeNodeVma(parent as TreeNodePtr))) return false;
    node = parent;
  }
  return false;
}

/** The VMA's numbering must lead from the page's index to the entry. */
function wrongAddress(heap: Heap, pfn: Pfn, range: TreeRange, vpn: Vpn): string | null {
  const index = heap[pageAt(heap, pfn) + PAGE.index];
  const address = heap[range.vma + VMA.start] + (index - heap[range.vma + VMA.pgoff]);
  if (address !== vpn) return `its index leads to another address (${describeVma(heap, range.vma)})`;
  return null;
}

/** True when following parents from the edge ends at the anon_vma's root: the edge is linked. */
function treeHolds(heap: Heap, anonVma: AnonVmaPtr, avc: number): boolean {
  let node = avc;
  for (let depth = 0; depth < 64; depth++) {
    const parent = heap[node + AVC.rbParent];
    if (parent === 0) return heap[anonVma + ANON_VMA.rbRoot] === node;
    if (!isObject(heap, CACHES.anonVmaChain, parent)) return false;
    node = parent;
  }
  return false;
}
