/**
 * Objects of shared mappings: the tree of VMAs holds exactly the VMAs that map the object (49), each of them is one reference
 * and there are no others (50), and the page index and its pages agree (51).
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { ADDRESS_SPACE, iMmapTree } from '../layout/addressSpace.ts';
import type { AddressSpacePtr, VmaPtr } from '../layout/ids.ts';
import { PAGE, nrFrames, pageAt } from '../layout/page.ts';
import { VMA, treeNodeVma } from '../layout/vma.ts';
import { describePage, describeVma } from './describe.ts';
import { treeNodes } from './intervalTrees.ts';
import { cachedPages, isObject, liveMms, liveObjects, objectOfPage, treeRanges } from './view.ts';

/** Checks every object, and that no node of an index is left over. */
export function checkFileObjects(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const mappers = new Map<number, VmaPtr[]>();
  for (const { vma } of liveMms(heap).flatMap((mm) => treeRanges(heap, mm))) {
    const file = heap[vma + VMA.file];
    if (file !== 0) mappers.set(file, [...(mappers.get(file) ?? []), vma]);
  }
  const nodes: number[] = [];
  for (const object of liveObjects(heap)) {
    checkMappers(heap, object, mappers.get(object) ?? [], violations);
    checkIndex(heap, object, nodes, violations);
    mappers.delete(object);
  }
  for (const vma of [...mappers.values()].flat()) {
    violations.push(wrong('use-after-free', 'a VMA maps an object that is freed', [describeVma(heap, vma)]));
  }
  const reached = new Set(nodes);
  for (const node of slabObjects(heap, CACHES.xaNode)) {
    if (slabIsAllocated(heap, node) && !reached.has(node)) {
      violations.push(wrong('leak', 'a node of a page index is allocated but in no object', []));
    }
  }
  return violations;
}

function wrong(kind: Violation['kind'], what: string, evidence: string[]): Violation {
  return { kind, title: what, signature: `object: ${what}`, evidence };
}

function checkMappers(heap: Heap, object: AddressSpacePtr, vmas: readonly VmaPtr[], violations: Violation[]): void {
  const count = heap[object + ADDRESS_SPACE.refcount];
  if (count !== vmas.length) {
    const evidence = [`${count} references, ${vmas.length} VMAs`];
    violations.push(wrong('count-mismatch', 'references differ from the VMAs that map it', evidence));
  }
  const isNode = (vma: VmaPtr): boolean => isObject(heap, CACHES.vma, vma);
  const linked = new Set(treeNodes(heap, iMmapTree(object), (node) => isNode(treeNodeVma(node)))?.map(treeNodeVma));
  for (const vma of vmas) {
    if (linked.delete(vma)) continue;
    violations.push(wrong('rmap-miss', 'a VMA that maps it is not in its tree', [describeVma(heap, vma)]));
  }
  for (const vma of linked) {
    violations.push(wrong('vma-tree', 'its tree holds a VMA that is not mapped', [describeVma(heap, vma)]));
  }
}

function checkIndex(heap: Heap, object: AddressSpacePtr, nodes: number[], violations: Violation[]): void {
  const pages = cachedPages(heap, object, nodes);
  for (const { index, pfn } of pages) {
    const isFrame = pfn >= 1 && pfn <= nrFrames(heap) && slabIsAllocated(heap, pageAt(heap, pfn));
    const isHere = isFrame && objectOfPage(heap, pfn) === object && heap[pageAt(heap, pfn) + PAGE.index] === index;
    if (isHere && index < heap[object + ADDRESS_SPACE.nrPages]) continue;
    const evidence = [`offset ${index}`, describePage(heap, pfn)];
    violations.push(wrong(isFrame ? 'count-mismatch' : 'use-after-free', 'its index holds a foreign page', evidence));
  }
  const counted = heap[object + ADDRESS_SPACE.cached];
  if (counted !== pages.length) {
    const evidence = [`${counted} counted, ${pages.length} found`];
    violations.push(wrong('count-mismatch', 'its number of pages is wrong', evidence));
  }
}
