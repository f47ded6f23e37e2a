/**
 * Names for every word of a simulated machine, found from its address: the section, the object of a cache, the field.
 * An object is called by its slot (`vma#2`); later lives of a slot by a letter (`vma#2b`), and who touches one that is
 * not allocated is told so.
 */

import { CACHE, CACHES, CACHE_NAMES, HEADER, HEADER_WORDS, cacheAt, nrCpus, type CacheName } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabGeneration, slabIsAllocated } from '../arena/slab.ts';
import { WAIT_BUCKET_WORDS } from '../layout/globals.ts';
import { RWSEM_READER_SHIFT, RWSEM_WRITER } from '../layout/lockWords.ts';
import { PAGE_STRUCT_WORDS, PG_locked } from '../layout/page.ts';
import { LEVEL_PGD, LEVEL_PTE, TABLE, pagesPerEntry } from '../layout/pageTable.ts';
import { TLB, TLB_ENTRY, TLB_ENTRY_WORDS } from '../layout/tlb.ts';
import { VMA } from '../layout/vma.ts';
import { VMA_NODE, VMA_NODE_ENTRY_WORDS } from '../layout/vmaNode.ts';
import {
  GLOBAL_FIELDS,
  OBJECT_FIELDS,
  OBJECT_NAMES,
  TASK_FIELDS,
  snakeCase,
  type FieldName,
  type ValueKind,
} from './fieldNames.ts';
import { valueWords } from './valueWords.ts';
import { placeName, type LockChange, type WordKind, type WordNames, type WordPlace } from './wordNames.ts';

interface Located extends WordPlace {
  readonly value: ValueKind;
}

interface Range {
  readonly name: CacheName;
  readonly first: number;
  readonly stride: number;
  readonly end: number;
}

const LEVELS = ['pte', 'pmd', 'pud', 'pgd'];
const NODE_WORDS = ['start', 'end', 'vma'];
/** Words in front of an object: what the allocator keeps. */
const PREFIX_WORDS = 3;

const LOCK_OF_FIELD: Readonly<Record<string, string>> = { vm_refcnt: 'vm_lock' };
/** Without the bit of a writer that waits. */
const VMA_READERS_MASK = (1 << 30) - 1;

function gained(lost: number, mode: LockChange['mode']): LockChange | null {
  return lost === 0 ? null : { action: lost < 0 ? 'acquired' : 'released', mode };
}

/** A write hold of an rwsem became a read hold. */
function downgraded(before: number, after: number): boolean {
  return (
    (before & RWSEM_WRITER) !== 0 &&
    (after & RWSEM_WRITER) === 0 &&
    after >> RWSEM_READER_SHIFT > before >> RWSEM_READER_SHIFT
  );
}

/** Names for the words of an arena. */
export function machineNames(heap: Heap): WordNames {
  return new MachineNames(heap);
}

class MachineNames implements WordNames {
  private readonly heap: Heap;
  private readonly ranges: readonly Range[];

  constructor(heap: Heap) {
    this.heap = heap;
    this.ranges = CACHE_NAMES.map((name) => {
      const at = cacheAt(CACHES[name]);
      const first = heap[at + CACHE.base];
      const stride = heap[at + CACHE.stride];
      return { name, first, stride, end: first + heap[at + CACHE.count] * stride };
    });
  }

  place(at: number): WordPlace {
    return this.locate(at);
  }

  value(at: number, value: number): string {
    return valueWords(this.locate(at).value, value, (pointer) => this.objectName(pointer));
  }

  lock(at: number): string {
    const { object, field } = this.locate(at);
    const ofFolio = /^page (pfn \d+)$/.exec(object);
    if (ofFolio !== null) return `folio ${ofFolio[1]}`;
    if (field === 'rcu') return 'rcu_read_lock';
    if (field === 'ptl') return this.tableLockName(at, object);
    const lock = LOCK_OF_FIELD[field] ?? field.replace(/\.(?:count|owner)$/, '');
    return placeName({ object, state: '', field: lock, kind: 'lock' });
  }

  lockChange(at: number, before: number, after: number): LockChange | null {
    const { object, field, value } = this.locate(at);
    if (value === 'pageFlags') return gained((before & PG_locked) - (after & PG_locked), '');
    if (value === 'vmaRefcount') {
      const readers = (count: number): number => Math.max((count & VMA_READERS_MASK) - 1, 0);
      return gained(readers(before) - readers(after), 'read');
    }
    if (value === 'rwsem') return downgraded(before, after) ? { action: 'downgraded', mode: 'read' } : null;
    if (field === 'rcu' && object !== '') return gained(Math.sign(before) - Math.sign(after), '');
    return null;
  }

  private tableLockName(table: number, name: string): string {
    const { heap } = this;
    const lock = heap[table + TABLE.level] === LEVEL_PTE ? 'ptl' : 'pmd lock';
    return `${this.objectName(heap[table + TABLE.mm])} ${lock} (${name})`;
  }

  private locate(at: number): Located {
    const range = this.ranges.find(({ first, end }) => at >= first - PREFIX_WORDS && at < end - PREFIX_WORDS);
    return range === undefined ? this.locateFixed(at) : this.locateInCache(range, at);
  }

  private locateInCache(range: Range, at: number): Located {
    const ptr = range.first + Math.floor((at - range.first + PREFIX_WORDS) / range.stride) * range.stride;
    const offset = at - ptr;
    const field = this.field(range.name, offset);
    if (range.name === 'pageTable' && offset >= TABLE.entries) return this.entry(ptr, offset - TABLE.entries);
    return {
      object: this.nameOf(range, ptr),
      state: this.state(range.name, ptr),
      field: field.name,
      kind: field.kind,
      value: field.value,
    };
  }

  private field(cache: CacheName, offset: number): FieldName {
    const known = OBJECT_FIELDS[cache]?.[offset];
    if (known !== undefined) return known;
    if (offset < 0) return { name: 'slab link', kind: 'internal', value: 'number' };
    if (cache === 'hugeContents') return { name: `word ${offset}`, kind: 'contents', value: 'number' };
    if (cache === 'frame' && offset >= PAGE_STRUCT_WORDS) {
      return { name: `contents word ${offset - PAGE_STRUCT_WORDS}`, kind: 'contents', value: 'number' };
    }
    if (cache === 'xaNode') return { name: `slot[${offset}]`, kind: 'state', value: 'number' };
    if (cache.startsWith('vmaNode')) {
      const word = (offset - VMA_NODE.entries) % VMA_NODE_ENTRY_WORDS;
      const index = Math.floor((offset - VMA_NODE.entries) / VMA_NODE_ENTRY_WORDS);
      return { name: `${NODE_WORDS[word]}[${index}]`, kind: 'state', value: word === 2 ? 'pointer' : 'number' };
    }
    return { name: `word ${offset}`, kind: 'state', value: 'number' };
  }

  /** An entry of a page table, by the address it maps and the address space that the table is part of. */
  private entry(table: number, index: number): Located {
    const { heap } = this;
    const level = heap[table + TABLE.level];
    if (level < LEVEL_PTE || level > LEVEL_PGD) {
      return { object: this.objectName(table), state: '', field: `entry ${index}`, kind: 'state', value: 'number' };
    }
    const vpn = heap[table + TABLE.base] + index * pagesPerEntry(level);
    const mm = heap[table + TABLE.mm];
    const object = mm === 0 ? this.objectName(table) : this.objectName(mm);
    const gone = slabIsAllocated(heap, table) ? '' : ' (table freed)';
    const value = level === LEVEL_PTE ? 'pte' : 'pointer';
    return { object, state: '', field: `${LEVELS[level]} of vpn ${vpn}${gone}`, kind: 'state', value };
  }

  /** Name of the object at a pointer, or of what a word that is no object's is. */
  private objectName(ptr: number): string {
    const range = this.ranges.find(({ first, end }) => ptr >= first && ptr < end);
    if (range !== undefined) return this.nameOf(range, ptr);
    const { heap } = this;
    const task = (ptr - heap[HEADER.taskBase]) / heap[HEADER.taskStride];
    if (Number.isInteger(task) && task >= 0 && task < nrCpus(heap)) return `task ${task + 1}`;
    return String(ptr);
  }

  private nameOf({ name, first, stride }: Range, ptr: number): string {
    const number = Math.floor((ptr - first) / stride) + 1;
    if (name === 'frame') return `page pfn ${number}`;
    const { heap } = this;
    const object = first + (number - 1) * stride;
    const life = (slabGeneration(heap, object) + 1) >> 1;
    const letter = life <= 1 ? '' : life <= 26 ? String.fromCharCode(96 + life) : `/${life}`;
    const gone = slabIsAllocated(heap, object) ? '' : ' (freed)';
    return `${OBJECT_NAMES[name] ?? snakeCase(name)}#${number}${letter}${gone}`;
  }

  private state(cache: CacheName, ptr: number): string {
    const { heap } = this;
    if (cache === 'vma') return `[${heap[ptr + VMA.start]}-${heap[ptr + VMA.end]})`;
    if (cache === 'pageTable')
      return `(${LEVELS[heap[ptr + TABLE.level]] ?? '?'} table of ${this.objectName(heap[ptr + TABLE.mm])} from vpn ${heap[ptr + TABLE.base]})`;
    return '';
  }

  /** A word of a section that is no cache. */
  private locateFixed(at: number): Located {
    const { heap } = this;
    const inside = (base: number, words: number): boolean => at >= base && at < base + words;
    const [taskBase, taskStride] = [heap[HEADER.taskBase], heap[HEADER.taskStride]];
    const [tlbBase, tlbStride] = [heap[HEADER.tlbBase], heap[HEADER.tlbStride]];
    if (inside(taskBase, nrCpus(heap) * taskStride)) {
      const offset = (at - taskBase) % taskStride;
      return fixed(
        `task ${Math.floor((at - taskBase) / taskStride) + 1}`,
        TASK_FIELDS[offset]?.name ?? `word ${offset}`,
        'lock',
      );
    }
    if (inside(tlbBase, nrCpus(heap) * tlbStride)) {
      return tlbWord(`TLB of CPU${Math.floor((at - tlbBase) / tlbStride) + 1}`, (at - tlbBase) % tlbStride);
    }
    if (inside(heap[HEADER.waitTableBase], heap[HEADER.waitTableBuckets] * WAIT_BUCKET_WORDS)) {
      const offset = at - heap[HEADER.waitTableBase];
      const words = ['lock', 'lock.owner', 'lock.cls', 'head', 'tail'];
      const bucket = Math.floor(offset / WAIT_BUCKET_WORDS);
      return fixed(`folio_wait_table[${bucket}]`, words[offset % WAIT_BUCKET_WORDS], 'lock');
    }
    const global = GLOBAL_FIELDS[at - heap[HEADER.globalBase]];
    if (global !== undefined)
      return { object: '', state: '', field: global.name, kind: global.kind, value: global.value };
    const cache = at < HEADER.caches ? undefined : CACHE_NAMES.at(Math.floor((at - HEADER.caches) / CACHE.words));
    if (cache !== undefined && at < HEADER_WORDS) {
      return { ...fixed(`slab ${snakeCase(cache)}`, 'free list', 'internal'), value: 'pointer' };
    }
    if (inside(heap[HEADER.userBase], heap[HEADER.userWords]))
      return fixed('', `user word ${at - heap[HEADER.userBase]}`, 'state');
    return fixed('', `word ${at}`, 'internal');
  }
}

function fixed(object: string, field: string, kind: WordKind): Located {
  return { object, state: '', field, kind, value: 'number' };
}

function tlbWord(object: string, offset: number): Located {
  if (offset < TLB.entries) return fixed(object, 'lock', 'internal');
  const slot = Math.floor((offset - TLB.entries) / TLB_ENTRY_WORDS);
  const word = (offset - TLB.entries) % TLB_ENTRY_WORDS;
  const field = Object.keys(TLB_ENTRY)[word];
  const value = word === TLB_ENTRY.pte ? 'pte' : 'number';
  return { object, state: '', field: `entry ${slot}.${field}`, kind: 'internal', value };
}
