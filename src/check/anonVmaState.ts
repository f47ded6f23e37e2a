/**
 * anon_vmas and chains: one root per chain (27), the chain closed under parents (27), equal anon_vma means equal chains (28),
 * counters against a recount (32), page's root equals its VMA's root (23), mapped page's anon_vma alive (24, in rmapReach).
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { ANON_VMA, AVC } from '../layout/anonVma.ts';
import type { MmPtr, VmaPtr } from '../layout/ids.ts';
import { VMA } from '../layout/vma.ts';
import { describeMm, describeVma } from './describe.ts';
import { avcsOf, isObject, liveMms, treeRanges } from './view.ts';

/** Checks every VMA's chain and every anon_vma's counters. */
export function checkAnonVmas(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const active = new Map<number, number>();
  for (const mm of liveMms(heap)) checkMm(heap, mm, active, violations);
  checkCounters(heap, active, violations);
  return violations;
}

/**
 * Invariant 28 for one mm: equal anon_vma means equal chains, or a merge of the two VMAs would lose pages.
 * @locked mmapLock(write) of the mm, or quiescence
 */
export function checkEqualChains(heap: Heap, mm: MmPtr): Violation[] {
  const violations: Violation[] = [];
  const chains = new Map<number, { readonly set: string; readonly vma: VmaPtr }>();
  for (const { vma } of treeRanges(heap, mm)) {
    const anonVma = heap[vma + VMA.anonVma];
    if (anonVma === 0) continue;
    const set = avcsOf(heap, vma).map((avc) => heap[avc + AVC.anonVma]);
    const key = set.sort((a, b) => a - b).join(' ');
    const other = chains.get(anonVma);
    if (other === undefined) chains.set(anonVma, { set: key, vma });
    else if (other.set !== key) violations.push(unequalChains(heap, mm, other.vma, vma));
  }
  return violations;
}

function checkMm(heap: Heap, mm: MmPtr, active: Map<number, number>, violations: Violation[]): void {
  for (const { vma } of treeRanges(heap, mm)) {
    const anonVma = heap[vma + VMA.anonVma];
    if (anonVma === 0) continue;
    active.set(anonVma, (active.get(anonVma) ?? 0) + 1);
    const set = avcsOf(heap, vma).map((avc) => heap[avc + AVC.anonVma]);
    checkChain(heap, mm, vma, set, violations);
  }
  violations.push(...checkEqualChains(heap, mm));
}

function unequalChains(heap: Heap, mm: MmPtr, first: VmaPtr, second: VmaPtr): Violation {
  const chain = (vma: VmaPtr): string =>
    `${describeVma(heap, vma)}: ${avcsOf(heap, vma).length} anon_vmas in its chain`;
  return {
    kind: 'rmap-miss',
    title: `two VMAs of ${describeMm(heap, mm)} share an anon_vma but differ in their chains: a merge would lose pages`,
    signature: 'equal anon_vma, unequal chains',
    evidence: [chain(first), chain(second)],
  };
}

function checkChain(heap: Heap, mm: MmPtr, vma: VmaPtr, set: readonly number[], violations: Violation[]): void {
  const wrong = (what: string): void => {
    violations.push({
      kind: 'rmap-miss',
      title: `${describeMm(heap, mm)}, ${describeVma(heap, vma)}: ${what}`,
      signature: `anon_vma chain: ${what}`,
      evidence: [],
    });
  };
  const anonVma = heap[vma + VMA.anonVma];
  if (!set.includes(anonVma)) wrong('no edge to its own anon_vma');
  const dead = set.some((av) => !isObject(heap, CACHES.anonVma, av) || !slabIsAllocated(heap, av));
  if (dead) {
    wrong('the chain leads to a freed anon_vma');
    return;
  }
  if (new Set(set.map((av) => heap[av + ANON_VMA.root])).size > 1) wrong('the chain spans two roots');
  const missing = set.some((av) => heap[av + ANON_VMA.parent] !== av && !set.includes(heap[av + ANON_VMA.parent]));
  if (missing) wrong('the chain lacks an ancestor');
}

function checkCounters(heap: Heap, active: ReadonlyMap<number, number>, violations: Violation[]): void {
  const children = new Map<number, number>();
  const live = [...slabObjects(heap, CACHES.anonVma)].filter((anonVma) => slabIsAllocated(heap, anonVma));
  for (const anonVma of live) {
    const parent = heap[anonVma + ANON_VMA.parent];
    const counts = heap[anonVma + ANON_VMA.rbRoot] !== 0 || parent === anonVma;
    if (counts) children.set(parent, (children.get(parent) ?? 0) + 1);
  }
  for (const anonVma of live) {
    checkRootAlive(heap, anonVma, violations);
    compare('num_active_vmas', heap[anonVma + ANON_VMA.numActiveVmas], active.get(anonVma) ?? 0, violations);
    if (heap[anonVma + ANON_VMA.rbRoot] !== 0) {
      compare('num_children', heap[anonVma + ANON_VMA.numChildren], children.get(anonVma) ?? 0, violations);
    }
  }
}

/** Invariant 34: a root outlives its descendants; each of them holds a reference on it. */
function checkRootAlive(heap: Heap, anonVma: number, violations: Violation[]): void {
  const root = heap[anonVma + ANON_VMA.root];
  if (isObject(heap, CACHES.anonVma, root) && slabIsAllocated(heap, root)) return;
  violations.push({
    kind: 'use-after-free',
    title: 'the root of an anon_vma is freed, and with it the lock of the tree',
    signature: 'root anon_vma freed before a descendant',
    evidence: [],
  });
}

function compare(field: string, counted: number, expected: number, violations: Violation[]): void {
  if (counted === expected) return;
  violations.push({
    kind: 'count-mismatch',
    title: `anon_vma ${field} is ${counted}, a recount gives ${expected}`,
    signature: `anon_vma ${field} differs from a recount`,
    evidence: [],
  });
}
