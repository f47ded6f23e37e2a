/** The guard of each word of each kind of object, from the tables of the layouts. */

import { CACHE_NAMES, type CacheId, type CacheName } from '../arena/header.ts';
import type { FieldTable } from '../arena/fieldTable.ts';
import { ADDRESS_SPACE_GUARDS, ADDRESS_SPACE_TABLE, XA_NODE_TABLE } from '../layout/addressSpace.ts';
import { ANON_VMA_GUARDS, ANON_VMA_TABLE, AVC_GUARDS, AVC_TABLE } from '../layout/anonVma.ts';
import type { FieldGuard } from '../layout/guard.ts';
import { KSM_MM_SLOT_TABLE, RMAP_ITEM_TABLE, STABLE_NODE_TABLE } from '../layout/ksm.ts';
import { MM_GUARDS, MM_TABLE } from '../layout/mm.ts';
import { HUGE_CONTENTS_TABLE, PAGE_GUARDS, PAGE_TABLE_OF_FIELDS } from '../layout/page.ts';
import { PAGE_TABLE_GUARDS, PAGE_TABLE_TABLE } from '../layout/pageTable.ts';
import { VMA_GUARDS, VMA_TABLE } from '../layout/vma.ts';
import { VMA_NODE_GUARDS, VMA_NODE_TABLE } from '../layout/vmaNode.ts';

type Guards = Readonly<Record<string, FieldGuard | undefined>>;

const NODE: readonly [FieldTable, Guards] = [VMA_NODE_TABLE, VMA_NODE_GUARDS];

const STRUCTS: Readonly<Record<CacheName, readonly [FieldTable, Guards]>> = {
  frame: [PAGE_TABLE_OF_FIELDS, PAGE_GUARDS],
  pageTable: [PAGE_TABLE_TABLE, PAGE_TABLE_GUARDS],
  mm: [MM_TABLE, MM_GUARDS],
  vma: [VMA_TABLE, VMA_GUARDS],
  anonVma: [ANON_VMA_TABLE, ANON_VMA_GUARDS],
  anonVmaChain: [AVC_TABLE, AVC_GUARDS],
  vmaNode16: NODE,
  vmaNode64: NODE,
  vmaNode256: NODE,
  vmaNode1024: NODE,
  addressSpace: [ADDRESS_SPACE_TABLE, ADDRESS_SPACE_GUARDS],
  xaNode: [XA_NODE_TABLE, {}],
  hugeContents: [HUGE_CONTENTS_TABLE, {}],
  ksmMmSlot: [KSM_MM_SLOT_TABLE, {}],
  ksmRmapItem: [RMAP_ITEM_TABLE, {}],
  ksmStableNode: [STABLE_NODE_TABLE, {}],
};

/** For each cache the guards of its words; what lies behind the struct is guarded as its last word. */
const GUARDS: readonly (readonly (FieldGuard | undefined)[])[] = CACHE_NAMES.map((cache) =>
  wordGuards(...STRUCTS[cache]),
);

function wordGuards({ fields, words }: FieldTable, guards: Guards): (FieldGuard | undefined)[] {
  const byWord: (FieldGuard | undefined)[] = [];
  const starts = Object.entries(fields).sort(([, first], [, second]) => first - second);
  for (const [index, [field, at]] of starts.entries()) {
    const end = index + 1 < starts.length ? starts[index + 1][1] : words;
    for (let word = at; word < end; word++) byWord[word] = guards[field];
  }
  return byWord;
}

/** Guard of the word at `offset` of an object of the cache; undefined if it has none. */
export function guardOf(cache: CacheId, offset: number): FieldGuard | undefined {
  const guards = GUARDS[cache];
  if (offset < guards.length) return guards[offset];
  // A table of entries is guarded as its first one; contents of frames by nothing.
  return cache === 0 ? undefined : guards[guards.length - 1];
}
