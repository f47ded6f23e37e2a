/**
 * What KSM keeps: a slot for each mm that may have mergeable memory, an rmap_item for each page it has looked at, a stable node for
 * each merged page, and the words of the scan (globals.ts).
 *
 * Guards: the list of slots under ksm_mmlist_lock; everything else under ksm_thread_mutex. A stable node's list of rmap_items, and
 * of these what a walk reads (mm, vpn, anonVma), changes only under the folio lock of its page as well, for walks come without the
 * mutex. kpfn has lockless readers.
 *
 * An rmap_item and a stable node begin with the three links of a node of the unstable and of the stable tree.
 */

import { load, readOnce, store, writeOnce } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { GLOBAL, globalAt } from './globals.ts';
import type {
  AnonVmaPtr,
  KsmMmSlotPtr,
  MmPtr,
  MutexPtr,
  Pfn,
  RmapItemPtr,
  SpinLockPtr,
  StableNodePtr,
  Vpn,
} from './ids.ts';

/** struct ksm_mm_slot; the head of the list has the first two words alone. */
export const KSM_MM_SLOT = { next: 0, prev: 1, mm: 2, rmapList: 3 } as const;
export const KSM_MM_SLOT_WORDS = 4;
export const KSM_MM_SLOT_TABLE = fieldTable('ksm_mm_slot', KSM_MM_SLOT, KSM_MM_SLOT_WORDS);

/** Links of a tree node, the same in both kinds of tree. */
export const KSM_TREE = { left: 0, right: 1, parent: 2 } as const;

/** struct ksm_rmap_item: one page of one mm. */
export const RMAP_ITEM = {
  ...KSM_TREE,
  /** Next item of the mm, by address. */
  next: 3,
  mm: 4,
  vpn: 5,
  /** UNSTABLE_FLAG or STABLE_FLAG or nothing. */
  state: 6,
  /** Pass in which the item came into the unstable tree. */
  seqnr: 7,
  oldChecksum: 8,
  anonVma: 9,
  /** Stable node whose list the item is in, and its neighbours there. */
  head: 10,
  hlistNext: 11,
  hlistPrev: 12,
} as const;
export const RMAP_ITEM_WORDS = 14;
export const RMAP_ITEM_TABLE = fieldTable('ksm_rmap_item', RMAP_ITEM, RMAP_ITEM_WORDS);
/** The item is a node of the unstable tree; is in the list of a stable node. */
export const UNSTABLE_FLAG = 1;
export const STABLE_FLAG = 2;

/** struct ksm_stable_node: a merged page, or a chain of several with the same contents. */
export const STABLE_NODE = {
  ...KSM_TREE,
  kpfn: 3,
  /** First rmap_item; of a chain, first node. */
  first: 4,
  /** Number of rmap_items, or STABLE_NODE_CHAIN. */
  length: 5,
  /** Chain that the node is in, and its neighbours there. A node in a chain is not in the tree itself. */
  chain: 6,
  dupNext: 7,
  dupPrev: 8,
  /** Of a chain: the pass in which it was pruned last. */
  pruned: 9,
} as const;
export const STABLE_NODE_WORDS = 10;
export const STABLE_NODE_TABLE = fieldTable('ksm_stable_node', STABLE_NODE, STABLE_NODE_WORDS);
export const STABLE_NODE_CHAIN = -1024;

/** ksm_run: stopped, merging, or taking everything apart again. */
export const KSM_RUN_STOP = 0;
export const KSM_RUN_MERGE = 1;
export const KSM_RUN_UNMERGE = 2;

/** Default of max_page_sharing. */
const MAX_PAGE_SHARING = 256;

export function ksmThreadMutex(heap: Heap): MutexPtr {
  return globalAt(heap, GLOBAL.ksmThreadMutex) as MutexPtr;
}
export function ksmMmlistLock(heap: Heap): SpinLockPtr {
  return globalAt(heap, GLOBAL.ksmMmlistLock) as SpinLockPtr;
}
/** The head of the list of slots, as a slot. */
export function ksmMmHead(heap: Heap): KsmMmSlotPtr {
  return globalAt(heap, GLOBAL.ksmMmHead) as KsmMmSlotPtr;
}
/** Word that holds the root of a tree. */
export function stableRoot(heap: Heap): number {
  return globalAt(heap, GLOBAL.ksmStableRoot);
}
export function unstableRoot(heap: Heap): number {
  return globalAt(heap, GLOBAL.ksmUnstableRoot);
}
/** One step: nobody runs yet. */
export function initKsm(heap: Heap): Access<void> {
  const head = ksmMmHead(heap);
  heap[head + KSM_MM_SLOT.next] = head;
  heap[head + KSM_MM_SLOT.prev] = head;
  heap[globalAt(heap, GLOBAL.ksmScanSlot)] = head;
  heap[globalAt(heap, GLOBAL.ksmMaxPageSharing)] = MAX_PAGE_SHARING;
}

/** A word of KSM's globals that the mutex guards. */
export function ksmWord(heap: Heap, field: number): Access<number> {
  return load(heap, globalAt(heap, field));
}
export function setKsmWord(heap: Heap, field: number, value: number): Access<void> {
  store(heap, globalAt(heap, field), value);
}
/** The slot at which the scan is; written under ksm_mmlist_lock and the mutex, read under either. */
export function ksmScanSlot(heap: Heap): Access<KsmMmSlotPtr> {
  return load(heap, globalAt(heap, GLOBAL.ksmScanSlot)) as KsmMmSlotPtr;
}
export function setKsmScanSlot(heap: Heap, slot: KsmMmSlotPtr): Access<void> {
  store(heap, globalAt(heap, GLOBAL.ksmScanSlot), slot);
}
/** list_empty(): whether no mm has a slot. A look without the lock. */
export function ksmHasNoSlots(heap: Heap): Access<boolean> {
  return readOnce(heap, ksmMmHead(heap) + KSM_MM_SLOT.next) === ksmMmHead(heap);
}

export function ksmSlotNext(heap: Heap, slot: KsmMmSlotPtr): Access<KsmMmSlotPtr> {
  return load(heap, slot + KSM_MM_SLOT.next) as KsmMmSlotPtr;
}
export function ksmSlotMm(heap: Heap, slot: KsmMmSlotPtr): Access<MmPtr> {
  return load(heap, slot + KSM_MM_SLOT.mm) as MmPtr;
}
/** The word that holds the first rmap_item of the mm. */
export function ksmSlotRmapLink(slot: KsmMmSlotPtr): number {
  return slot + KSM_MM_SLOT.rmapList;
}
/** One step: nobody can reach the slot yet. */
export function initKsmSlot(heap: Heap, slot: KsmMmSlotPtr, mm: MmPtr): Access<void> {
  heap.fill(0, slot, slot + KSM_MM_SLOT_WORDS);
  heap[slot + KSM_MM_SLOT.mm] = mm;
}
/** list_add_tail() in front of `before`; ksm_mmlist_lock held. */
export function linkKsmSlot(heap: Heap, slot: KsmMmSlotPtr, before: KsmMmSlotPtr): Access<void> {
  const prev = heap[before + KSM_MM_SLOT.prev];
  heap[slot + KSM_MM_SLOT.next] = before;
  heap[slot + KSM_MM_SLOT.prev] = prev;
  heap[before + KSM_MM_SLOT.prev] = slot;
  Atomics.store(heap, prev + KSM_MM_SLOT.next, slot);
}
/** list_del(); ksm_mmlist_lock held. */
export function unlinkKsmSlot(heap: Heap, slot: KsmMmSlotPtr): Access<void> {
  const next = heap[slot + KSM_MM_SLOT.next];
  const prev = heap[slot + KSM_MM_SLOT.prev];
  heap[next + KSM_MM_SLOT.prev] = prev;
  Atomics.store(heap, prev + KSM_MM_SLOT.next, next);
}

/** A word that links to an rmap_item: of a slot, or `next` of another item. */
export function rmapItemAt(heap: Heap, link: number): Access<RmapItemPtr> {
  return load(heap, link) as RmapItemPtr;
}
export function setRmapItemAt(heap: Heap, link: number, item: number): Access<void> {
  store(heap, link, item);
}
export function rmapItemNextLink(item: RmapItemPtr): number {
  return item + RMAP_ITEM.next;
}
/** One step: nobody can reach the item yet. */
export function initRmapItem(heap: Heap, item: RmapItemPtr, mm: MmPtr, vpn: Vpn): Access<void> {
  heap.fill(0, item, item + RMAP_ITEM_WORDS);
  heap[item + RMAP_ITEM.mm] = mm;
  heap[item + RMAP_ITEM.vpn] = vpn;
}
export function rmapItemMm(heap: Heap, item: RmapItemPtr): Access<MmPtr> {
  return load(heap, item + RMAP_ITEM.mm) as MmPtr;
}
export function rmapItemVpn(heap: Heap, item: RmapItemPtr): Access<Vpn> {
  return load(heap, item + RMAP_ITEM.vpn) as Vpn;
}
export function rmapItemAnonVma(heap: Heap, item: RmapItemPtr): Access<AnonVmaPtr> {
  return load(heap, item + RMAP_ITEM.anonVma) as AnonVmaPtr;
}
export function setRmapItemAnonVma(heap: Heap, item: RmapItemPtr, anonVma: AnonVmaPtr): Access<void> {
  store(heap, item + RMAP_ITEM.anonVma, anonVma);
}
/** A word of an item that only KSM's own thread uses. */
export function rmapItemWord(heap: Heap, item: RmapItemPtr, field: number): Access<number> {
  return load(heap, item + field);
}
export function setRmapItemWord(heap: Heap, item: RmapItemPtr, field: number, value: number): Access<void> {
  store(heap, item + field, value);
}
export function rmapItemHead(heap: Heap, item: RmapItemPtr): Access<StableNodePtr> {
  return load(heap, item + RMAP_ITEM.head) as StableNodePtr;
}
export function rmapItemHlistNext(heap: Heap, item: RmapItemPtr): Access<RmapItemPtr> {
  return load(heap, item + RMAP_ITEM.hlistNext) as RmapItemPtr;
}

/** One step: nobody can reach the node yet. */
export function initStableNode(heap: Heap, node: StableNodePtr, kpfn: Pfn, length: number): Access<void> {
  heap.fill(0, node, node + STABLE_NODE_WORDS);
  heap[node + STABLE_NODE.kpfn] = kpfn;
  heap[node + STABLE_NODE.length] = length;
}
/** The page of a node. It changes when the page is migrated. */
export function readOnceStableNodePfn(heap: Heap, node: StableNodePtr): Access<Pfn> {
  return readOnce(heap, node + STABLE_NODE.kpfn) as Pfn;
}
export function writeOnceStableNodePfn(heap: Heap, node: StableNodePtr, pfn: Pfn): Access<void> {
  writeOnce(heap, node + STABLE_NODE.kpfn, pfn);
}
/** Number of rmap_items, or STABLE_NODE_CHAIN. */
export function stableNodeLength(heap: Heap, node: StableNodePtr): Access<number> {
  return load(heap, node + STABLE_NODE.length);
}
export function setStableNodeLength(heap: Heap, node: StableNodePtr, length: number): Access<void> {
  store(heap, node + STABLE_NODE.length, length);
}
/** First rmap_item of a node. */
export function stableNodeItem(heap: Heap, node: StableNodePtr): Access<RmapItemPtr> {
  return load(heap, node + STABLE_NODE.first) as RmapItemPtr;
}
/** hlist_add_head(): the item becomes the first of the node's; folio lock held. */
export function linkRmapItem(heap: Heap, node: StableNodePtr, item: RmapItemPtr): Access<void> {
  const next = heap[node + STABLE_NODE.first];
  heap[item + RMAP_ITEM.hlistNext] = next;
  heap[item + RMAP_ITEM.hlistPrev] = 0;
  if (next !== 0) heap[next + RMAP_ITEM.hlistPrev] = item;
  heap[node + STABLE_NODE.first] = item;
}
/** hlist_del(); folio lock held. */
export function unlinkRmapItem(heap: Heap, node: StableNodePtr, item: RmapItemPtr): Access<void> {
  const next = heap[item + RMAP_ITEM.hlistNext];
  const prev = heap[item + RMAP_ITEM.hlistPrev];
  heap[prev === 0 ? node + STABLE_NODE.first : prev + RMAP_ITEM.hlistNext] = next;
  if (next !== 0) heap[next + RMAP_ITEM.hlistPrev] = prev;
}
/** The chain that a node is in, 0 if it is in the tree itself. */
export function stableNodeChain(heap: Heap, node: StableNodePtr): Access<StableNodePtr> {
  return load(heap, node + STABLE_NODE.chain) as StableNodePtr;
}
/** First node of a chain. */
export function chainFirst(heap: Heap, chain: StableNodePtr): Access<StableNodePtr> {
  return load(heap, chain + STABLE_NODE.first) as StableNodePtr;
}
export function stableNodeDupNext(heap: Heap, node: StableNodePtr): Access<StableNodePtr> {
  return load(heap, node + STABLE_NODE.dupNext) as StableNodePtr;
}
/** The pass in which a chain was pruned last. */
export function chainPruned(heap: Heap, chain: StableNodePtr): Access<number> {
  return load(heap, chain + STABLE_NODE.pruned);
}
export function setChainPruned(heap: Heap, chain: StableNodePtr, seqnr: number): Access<void> {
  store(heap, chain + STABLE_NODE.pruned, seqnr);
}
/** stable_node_chain_add_dup(). */
export function linkDup(heap: Heap, chain: StableNodePtr, node: StableNodePtr): Access<void> {
  const next = heap[chain + STABLE_NODE.first];
  heap[node + STABLE_NODE.chain] = chain;
  heap[node + STABLE_NODE.dupNext] = next;
  heap[node + STABLE_NODE.dupPrev] = 0;
  if (next !== 0) heap[next + STABLE_NODE.dupPrev] = node;
  heap[chain + STABLE_NODE.first] = node;
}
/** __stable_node_dup_del(): the node is in no chain afterwards. */
export function unlinkDup(heap: Heap, node: StableNodePtr): Access<void> {
  const next = heap[node + STABLE_NODE.dupNext];
  const prev = heap[node + STABLE_NODE.dupPrev];
  heap[prev === 0 ? heap[node + STABLE_NODE.chain] + STABLE_NODE.first : prev + STABLE_NODE.dupNext] = next;
  if (next !== 0) heap[next + STABLE_NODE.dupPrev] = prev;
  heap[node + STABLE_NODE.chain] = 0;
}

/** A link of a tree node: an offset of KSM_TREE. */
export function ksmTreeLink(heap: Heap, node: number, link: number): Access<number> {
  return load(heap, node + link);
}
export function setKsmTreeLink(heap: Heap, node: number, link: number, to: number): Access<void> {
  store(heap, node + link, to);
}
/** Root of the tree whose root word is `root`. */
export function ksmTreeRoot(heap: Heap, root: number): Access<number> {
  return load(heap, root);
}
export function setKsmTreeRoot(heap: Heap, root: number, node: number): Access<void> {
  store(heap, root, node);
}
