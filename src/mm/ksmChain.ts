/**
 * Chains: nodes whose pages have the same contents, in the tree in place of each of them.
 *
 * Kernel: stable_node_dup(), chain_prune(), alloc_stable_node_chain() in mm/ksm.c.
 */

import { CACHES } from '../arena/header.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import { NO_PFN, NO_STABLE_NODE, type Pfn, type StableNodePtr } from '../layout/ids.ts';
import {
  STABLE_NODE_CHAIN,
  chainFirst,
  chainPruned,
  initStableNode,
  ksmWord,
  linkDup,
  setChainPruned,
  stableNodeDupNext,
  stableNodeLength,
  stableRoot,
  unlinkDup,
} from '../layout/ksm.ts';
import { ksmGetFolio } from './ksmNode.ts';
import { treeErase, treeReplace } from './ksmTree.ts';
import { folioPut } from './pageRef.ts';

/** Whose contents stand at a place of the tree. */
export interface ChainCandidate {
  /** What is in the tree: the node or chain that was asked about, or what took its place. */
  readonly node: StableNodePtr;
  readonly dup: StableNodePtr;
  /** Page of `dup`, with a reference; 0 if the node or chain is gone, and the tree another one. */
  readonly kpfn: Pfn;
}

const GONE: ChainCandidate = { node: NO_STABLE_NODE, dup: NO_STABLE_NODE, kpfn: NO_PFN };

/** is_stable_node_chain(). */
export function isChain(task: Task, node: StableNodePtr): Sim<boolean> {
  return stableNodeLength(task.heap, node) === STABLE_NODE_CHAIN;
}

/** is_page_sharing_candidate(): somebody still maps the page by merging, and one more may. */
export function isSharingCandidate(task: Task, node: StableNodePtr): Sim<boolean> {
  const length = stableNodeLength(task.heap, node);
  return length > 0 && length < ksmWord(task.heap, GLOBAL.ksmMaxPageSharing);
}

/**
 * chain() and chain_prune(): the node itself, or the best of a chain: one that may be shared, of these the one with most mappings.
 *
 * @param pass a number of a pass: a chain that was not pruned in it is, and a chain of one goes; negative: never
 * @locked ksm_thread_mutex
 */
export function chainCandidate(task: Task, node: StableNodePtr, pass: number): Sim<ChainCandidate> {
  if (!isChain(task, node)) return { node, dup: node, kpfn: ksmGetFolio(task, node, 'nolock') as Pfn };
  const prune = pass >= 0 && chainPruned(task.heap, node) !== pass;
  if (prune) setChainPruned(task.heap, node, pass);
  const { dup, kpfn, live } = bestDup(task, node, prune);
  if (dup === NO_STABLE_NODE) {
    dropChain(task, node);
    return GONE;
  }
  if (!prune || live > 1) return { node, dup, kpfn };
  collapseChain(task, node, dup);
  return { node: dup, dup, kpfn };
}

/** alloc_stable_node_chain(): a chain in the place of `node`, which becomes its first. @returns 0 without memory */
export function createChain(task: Task, node: StableNodePtr): Sim<StableNodePtr> {
  const { heap } = task;
  const chain = kmemCacheAlloc(task, CACHES.ksmStableNode) as StableNodePtr;
  if (chain === NO_STABLE_NODE) return NO_STABLE_NODE;
  initStableNode(heap, chain, NO_PFN, STABLE_NODE_CHAIN);
  setChainPruned(heap, chain, ksmWord(heap, GLOBAL.ksmSeqnr));
  treeReplace(heap, stableRoot(heap), node, chain);
  linkDup(heap, chain, node);
  return chain;
}

/** free_stable_node_chain(): the chain is empty. */
export function dropChain(task: Task, chain: StableNodePtr): Sim<void> {
  treeErase(task.heap, stableRoot(task.heap), chain);
  kmemCacheFree(task, CACHES.ksmStableNode, chain);
}

/** The best node of a chain with its page, and how many were seen; `all`: looks at all, and those whose page is gone go. */
function bestDup(task: Task, chain: StableNodePtr, all: boolean): Sim<{ dup: StableNodePtr; kpfn: Pfn; live: number }> {
  const { heap } = task;
  let dup: StableNodePtr = NO_STABLE_NODE;
  let kpfn: Pfn = NO_PFN;
  let live = 0;
  let best = -1;
  let at = chainFirst(heap, chain);
  while (at !== NO_STABLE_NODE) {
    const next = stableNodeDupNext(heap, at);
    const page = ksmGetFolio(task, at, 'nolock') as Pfn;
    if (page !== NO_PFN) {
      live++;
      // One that is full will do to go on with the search.
      const rank = isSharingCandidate(task, at) ? stableNodeLength(heap, at) : 0;
      if (rank > best) {
        if (kpfn !== NO_PFN) folioPut(task, kpfn);
        best = rank;
        dup = at;
        kpfn = page;
      } else {
        folioPut(task, page);
      }
      if (best > 0 && !all) break;
    }
    at = next;
  }
  return { dup, kpfn, live };
}

/** The only node of a chain takes its place. */
function collapseChain(task: Task, chain: StableNodePtr, dup: StableNodePtr): Sim<void> {
  const { heap } = task;
  unlinkDup(heap, dup);
  treeReplace(heap, stableRoot(heap), chain, dup);
  kmemCacheFree(task, CACHES.ksmStableNode, chain);
}
