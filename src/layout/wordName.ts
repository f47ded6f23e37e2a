/** What a word of an arena is: the struct it belongs to and its field, for reports and signatures; never an address. */

import type { FieldTable } from '../arena/fieldTable.ts';
import {
  CACHE,
  CACHES,
  CACHE_NAMES,
  HEADER,
  cacheAt,
  isArena,
  nrCpus,
  userBase,
  type CacheName,
} from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { ADDRESS_SPACE_TABLE, XA_NODE_TABLE } from './addressSpace.ts';
import { ANON_VMA_TABLE, AVC_TABLE } from './anonVma.ts';
import { GLOBAL_TABLE, GLOBAL_WORDS, WAIT_BUCKET, WAIT_BUCKET_WORDS } from './globals.ts';
import { KSM_MM_SLOT_TABLE, RMAP_ITEM_TABLE, STABLE_NODE_TABLE } from './ksm.ts';
import { MUTEX_TABLE, RWSEM_TABLE, SPIN_TABLE } from './lockWords.ts';
import { MM_TABLE } from './mm.ts';
import { HUGE_CONTENTS_TABLE, PAGE_STRUCT_WORDS, PAGE_TABLE_OF_FIELDS } from './page.ts';
import { PAGE_TABLE_TABLE, TABLE } from './pageTable.ts';
import { TASK_TABLE } from './task.ts';
import { TLB, TLB_ENTRY_TABLE, TLB_ENTRY_WORDS, tlbEntries, tlbWords } from './tlb.ts';
import { VMA_TABLE } from './vma.ts';
import { VMA_NODE, VMA_NODE_ENTRY_WORDS, VMA_NODE_TABLE } from './vmaNode.ts';

export interface WordName {
  readonly struct: string;
  /** Field, and for a word inside a lock `field.word`. */
  readonly field: string;
  /** First word of the object, and the word's offset in it. */
  readonly object: number;
  readonly offset: number;
}

const STRUCTS: Readonly<Record<CacheName, FieldTable>> = {
  frame: PAGE_TABLE_OF_FIELDS,
  pageTable: PAGE_TABLE_TABLE,
  mm: MM_TABLE,
  vma: VMA_TABLE,
  anonVma: ANON_VMA_TABLE,
  anonVmaChain: AVC_TABLE,
  vmaNode16: VMA_NODE_TABLE,
  vmaNode64: VMA_NODE_TABLE,
  vmaNode256: VMA_NODE_TABLE,
  vmaNode1024: VMA_NODE_TABLE,
  addressSpace: ADDRESS_SPACE_TABLE,
  xaNode: XA_NODE_TABLE,
  hugeContents: HUGE_CONTENTS_TABLE,
  ksmMmSlot: KSM_MM_SLOT_TABLE,
  ksmRmapItem: RMAP_ITEM_TABLE,
  ksmStableNode: STABLE_NODE_TABLE,
};

/** Fields that are locks of several words. */
const LOCKS: Readonly<Record<string, FieldTable>> = {
  'mm_struct.mmapLock': RWSEM_TABLE,
  'mm_struct.pageTableLock': SPIN_TABLE,
  'anon_vma.rwsem': RWSEM_TABLE,
  'address_space.iMmapRwsem': RWSEM_TABLE,
  'address_space.iPagesLock': SPIN_TABLE,
  'anon_vma.lock': SPIN_TABLE,
  'page_table.lock': SPIN_TABLE,
  'globals.mmAllLocksMutex': MUTEX_TABLE,
};

const VMA_NODE_ENTRY = ['start', 'end', 'vma'];

/** The name of the word at `at`. */
export function nameWord(heap: Heap, at: number): WordName {
  if (!isArena(heap)) return { struct: 'memory', field: 'word', object: at, offset: 0 };
  return (
    nameSlabWord(heap, at) ?? nameSectionWord(heap, at) ?? { struct: 'memory', field: 'word', object: at, offset: 0 }
  );
}

/** `vm_area_struct.start` */
export function wordText(heap: Heap, at: number): string {
  const { struct, field } = nameWord(heap, at);
  return `${struct}.${field}`;
}

function nameSlabWord(heap: Heap, at: number): WordName | null {
  for (const cache of CACHE_NAMES) {
    const descriptor = cacheAt(CACHES[cache]);
    const base = heap[descriptor + CACHE.base];
    const stride = heap[descriptor + CACHE.stride];
    if (at < base || at >= base + heap[descriptor + CACHE.count] * stride) continue;
    const offset = (at - base) % stride;
    const object = at - offset;
    if (offset >= heap[descriptor + CACHE.objectWords]) return { struct: 'slab', field: 'prefix', object, offset };
    return { struct: STRUCTS[cache].name, field: fieldOfObject(cache, offset), object, offset };
  }
  return null;
}

function fieldOfObject(cache: CacheName, offset: number): string {
  if (cache === 'frame' && offset >= PAGE_STRUCT_WORDS) return 'contents';
  if (cache === 'pageTable' && offset >= TABLE.entries) return 'entry';
  if (cache.startsWith('vmaNode') && offset >= VMA_NODE.entries) {
    return `entry.${VMA_NODE_ENTRY[(offset - VMA_NODE.entries) % VMA_NODE_ENTRY_WORDS]}`;
  }
  return fieldOf(STRUCTS[cache], offset);
}

/** The field that a word belongs to: the last one that begins at or before it. */
function fieldOf({ name, fields }: FieldTable, offset: number): string {
  let found = '';
  let first = -1;
  for (const [field, at] of Object.entries(fields)) {
    if (at > offset || at <= first) continue;
    found = field;
    first = at;
  }
  const lock = LOCKS[`${name}.${found}`] as FieldTable | undefined;
  return lock === undefined ? found : `${found}.${fieldOf(lock, offset - first)}`;
}

function nameSectionWord(heap: Heap, at: number): WordName | null {
  const cpus = nrCpus(heap);
  const task = itemAt(heap[HEADER.taskBase], heap[HEADER.taskStride], cpus, at);
  if (task !== null)
    return { struct: TASK_TABLE.name, field: fieldOf(TASK_TABLE, at - task), object: task, offset: at - task };
  const tlb = itemAt(heap[HEADER.tlbBase], heap[HEADER.tlbStride], cpus, at);
  if (tlb !== null) return nameTlbWord(heap, tlb, at - tlb);
  const globals = heap[HEADER.globalBase];
  if (at >= globals && at < globals + GLOBAL_WORDS) {
    return {
      struct: GLOBAL_TABLE.name,
      field: fieldOf(GLOBAL_TABLE, at - globals),
      object: globals,
      offset: at - globals,
    };
  }
  const bucket = itemAt(heap[HEADER.waitTableBase], WAIT_BUCKET_WORDS, heap[HEADER.waitTableBuckets], at);
  if (bucket === null) return at >= userBase(heap) ? { struct: 'user', field: 'word', object: at, offset: 0 } : null;
  const field = at - bucket < WAIT_BUCKET.head ? 'lock' : at - bucket === WAIT_BUCKET.head ? 'head' : 'tail';
  return { struct: 'folio_wait_table', field, object: bucket, offset: at - bucket };
}

function nameTlbWord(heap: Heap, tlb: number, offset: number): WordName {
  if (offset < TLB.entries || offset >= tlbWords(tlbEntries(heap)))
    return { struct: 'tlb', field: 'lock', object: tlb, offset };
  const word = (offset - TLB.entries) % TLB_ENTRY_WORDS;
  return {
    struct: TLB_ENTRY_TABLE.name,
    field: fieldOf(TLB_ENTRY_TABLE, word),
    object: tlb + offset - word,
    offset: word,
  };
}

/** First word of the item of an array that a word lies in, null outside. */
function itemAt(base: number, stride: number, count: number, at: number): number | null {
  return at >= base && at < base + count * stride ? at - ((at - base) % stride) : null;
}
