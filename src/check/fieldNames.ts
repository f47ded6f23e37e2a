/** The words of each struct under the kernel's names: what they are for and how their values are read. */

import type { FieldTable } from '../arena/fieldTable.ts';
import type { CacheName } from '../arena/header.ts';
import { ADDRESS_SPACE_TABLE } from '../layout/addressSpace.ts';
import { ANON_VMA_TABLE, AVC_TABLE } from '../layout/anonVma.ts';
import { GLOBAL_TABLE } from '../layout/globals.ts';
import { MUTEX_TABLE, RWSEM_TABLE, SPIN_TABLE } from '../layout/lockWords.ts';
import { KSM_MM_SLOT_TABLE, RMAP_ITEM_TABLE, STABLE_NODE_TABLE } from '../layout/ksm.ts';
import { MM_TABLE } from '../layout/mm.ts';
import { PAGE_TABLE_OF_FIELDS } from '../layout/page.ts';
import { PAGE_TABLE_TABLE } from '../layout/pageTable.ts';
import { TASK_TABLE } from '../layout/task.ts';
import { VMA_TABLE } from '../layout/vma.ts';
import { VMA_NODE_TABLE } from '../layout/vmaNode.ts';
import type { WordKind } from './wordNames.ts';

/** How a value is put into words. */
export type ValueKind =
  | 'number'
  | 'pointer'
  | 'pte'
  | 'pageFlags'
  | 'vmFlags'
  | 'mapping'
  | 'spin'
  | 'rwsem'
  | 'mutex'
  | 'vmaRefcount'
  | 'lastKey';

export interface FieldName {
  readonly name: string;
  readonly kind: WordKind;
  readonly value: ValueKind;
}

/** Words of a struct by offset; holes are words without a name. */
export type FieldNames = readonly (FieldName | undefined)[];

interface Wording {
  /** Kernel names of fields where they are not ours in another spelling. */
  readonly names?: Readonly<Record<string, string>>;
  readonly kinds?: Readonly<Partial<Record<WordKind, readonly string[]>>>;
  readonly values?: Readonly<Partial<Record<ValueKind, readonly string[]>>>;
  /** Locks inside. */
  readonly locks?: Readonly<Record<string, FieldTable>>;
}

const FIRST_WORD_OF_LOCK: ReadonlyMap<FieldTable, ValueKind> = new Map([
  [SPIN_TABLE, 'spin'],
  [RWSEM_TABLE, 'rwsem'],
  [MUTEX_TABLE, 'mutex'],
]);

/** `mmLockSeq` as the kernel spells it: `mm_lock_seq`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function fieldNames(table: FieldTable, wording: Wording): FieldNames {
  const found: (FieldName | undefined)[] = [];
  for (const [field, at] of Object.entries(table.fields)) {
    const name = wording.names?.[field] ?? snakeCase(field);
    const lock = wording.locks?.[field];
    if (lock === undefined)
      found[at] = { name, kind: keyOf(wording.kinds, field, 'state'), value: keyOf(wording.values, field, 'number') };
    else addLock(found, name, at, lock);
  }
  return found;
}

function addLock(found: (FieldName | undefined)[], name: string, at: number, lock: FieldTable): void {
  for (const [word, offset] of Object.entries(lock.fields)) {
    const first = offset === 0 ? FIRST_WORD_OF_LOCK.get(lock) : undefined;
    const value = first ?? (word === 'head' || word === 'tail' ? 'pointer' : 'number');
    // A spinlock is one word to the kernel.
    const suffix = lock === SPIN_TABLE && offset === 0 ? '' : `.${snakeCase(word)}`;
    found[at + offset] = { name: `${name}${suffix}`, kind: 'lock', value };
  }
}

function keyOf<Key extends string>(
  lists: Readonly<Partial<Record<Key, readonly string[]>>> | undefined,
  field: string,
  otherwise: Key,
): Key {
  const entries = Object.entries(lists ?? {}) as [Key, readonly string[]][];
  return entries.find(([, fields]) => fields.includes(field))?.[0] ?? otherwise;
}

/** The node of an interval tree, wherever it is embedded. */
const TREE_NAMES = { rbParent: 'rb.parent', rbLeft: 'rb.left', rbRight: 'rb.right', subtreeLast: 'rb_subtree_last' };
const TREE_POINTERS = ['rbParent', 'rbLeft', 'rbRight'];
const TREE_LINKS = [...TREE_POINTERS, 'subtreeLast', 'stamp'];

const VMA_FIELDS = fieldNames(VMA_TABLE, {
  names: {
    mm: 'vm_mm',
    start: 'vm_start',
    end: 'vm_end',
    pgoff: 'vm_pgoff',
    flags: 'vm_flags',
    avcFirst: 'anon_vma_chain.next',
    avcLast: 'anon_vma_chain.prev',
    lockSeq: 'vm_lock_seq',
    refcnt: 'vm_refcnt',
    file: 'vm_file',
    privateData: 'vm_private_data',
    ...TREE_NAMES,
    keyFirst: 'shared.cached_start',
    keyLast: 'shared.cached_last',
  },
  kinds: { range: ['start', 'end', 'pgoff', 'keyFirst', 'keyLast'], lock: ['lockSeq', 'refcnt'], detail: TREE_LINKS },
  values: {
    pointer: ['mm', 'anonVma', 'avcFirst', 'avcLast', 'file', ...TREE_POINTERS],
    vmFlags: ['flags'],
    vmaRefcount: ['refcnt'],
  },
});

const MM_FIELDS = fieldNames(MM_TABLE, {
  names: {
    vmaTree: 'mm_mt',
    users: 'mm_users',
    count: 'mm_count',
    anonPages: 'rss_stat[MM_ANONPAGES]',
    shmemPages: 'rss_stat[MM_SHMEMPAGES]',
    pgtables: 'pgtables_bytes',
    cpumask: 'cpu_bitmap',
  },
  kinds: {
    lock: ['mmLockSeq', 'vmaWriterWait'],
    detail: ['users', 'count', 'mapCount', 'totalVm', 'dataVm', 'lockedVm', 'anonPages', 'pgtables', 'shmemPages'],
    internal: ['asid', 'process', 'mmapFirst', 'mmapEnd', 'maxMapCount', 'memlockLimit', 'strandedLockedVm'],
  },
  values: { pointer: ['vmaTree', 'pgd', 'vmaWriterWait'] },
  locks: { mmapLock: RWSEM_TABLE, pageTableLock: SPIN_TABLE },
});

const ANON_VMA_FIELDS = fieldNames(ANON_VMA_TABLE, {
  names: { allLocksMark: 'rb_root bit 0', rbRoot: 'rb_root' },
  kinds: { detail: ['refcount', 'insertions'] },
  values: { pointer: ['root', 'parent', 'rbRoot'] },
  locks: { rwsem: RWSEM_TABLE, lock: SPIN_TABLE },
});

const AVC_FIELDS = fieldNames(AVC_TABLE, {
  names: {
    sameVmaNext: 'same_vma.next',
    sameVmaPrev: 'same_vma.prev',
    ...TREE_NAMES,
    pgoff: 'cached_vma_start',
    last: 'cached_vma_last',
  },
  kinds: {
    range: ['pgoff', 'last'],
    detail: [...TREE_LINKS, 'sameVmaNext', 'sameVmaPrev'],
  },
  values: {
    pointer: ['vma', 'anonVma', 'sameVmaNext', 'sameVmaPrev', ...TREE_POINTERS],
    lastKey: ['last', 'subtreeLast'],
  },
});

const ADDRESS_SPACE_FIELDS = fieldNames(ADDRESS_SPACE_TABLE, {
  names: {
    refcount: 'f_count',
    nrPages: 'i_size',
    pages: 'i_pages.head',
    cached: 'nrpages',
    allLocksMark: 'AS_MM_ALL_LOCKS',
    reserved: 'resv_map[0]',
    hugetlbVmaLock: 'vma_lock->rw_sema',
  },
  kinds: { detail: ['refcount', 'insertions', 'levels', 'cached', 'nrPages'] },
  values: { pointer: ['iMmap', 'pages'] },
  locks: { iMmapRwsem: RWSEM_TABLE, iPagesLock: SPIN_TABLE, hugetlbVmaLock: RWSEM_TABLE },
});

const PAGE_FIELDS = fieldNames(PAGE_TABLE_OF_FIELDS, {
  names: { refcount: '_refcount', mapcount: '_mapcount' },
  kinds: { detail: ['refcount', 'mapcount'] },
  values: { pageFlags: ['flags'], mapping: ['mapping'], pointer: ['private'] },
});

const VMA_NODE_FIELDS = fieldNames(VMA_NODE_TABLE, { names: { count: 'count', capacity: 'capacity' } });

/** Fields of the objects of each cache; entries of tables, contents of frames and triples of nodes come behind them. */
export const OBJECT_FIELDS: Readonly<Partial<Record<CacheName, FieldNames>>> = {
  frame: PAGE_FIELDS,
  pageTable: fieldNames(PAGE_TABLE_TABLE, { names: { lock: 'ptl' }, locks: { lock: SPIN_TABLE } }).slice(0, -1),
  mm: MM_FIELDS,
  vma: VMA_FIELDS,
  anonVma: ANON_VMA_FIELDS,
  anonVmaChain: AVC_FIELDS,
  vmaNode16: VMA_NODE_FIELDS.slice(0, 2),
  vmaNode64: VMA_NODE_FIELDS.slice(0, 2),
  vmaNode256: VMA_NODE_FIELDS.slice(0, 2),
  vmaNode1024: VMA_NODE_FIELDS.slice(0, 2),
  addressSpace: ADDRESS_SPACE_FIELDS,
  // All slots, all contents.
  xaNode: [],
  hugeContents: [],
  ksmMmSlot: fieldNames(KSM_MM_SLOT_TABLE, { values: { pointer: ['next', 'prev', 'mm', 'rmapList'] } }),
  ksmRmapItem: fieldNames(RMAP_ITEM_TABLE, {
    names: { left: 'node.rb_left', right: 'node.rb_right', parent: 'node.parent', vpn: 'address' },
    values: { pointer: ['mm', 'next', 'anonVma', 'head', 'hlistNext', 'hlistPrev'] },
  }),
  ksmStableNode: fieldNames(STABLE_NODE_TABLE, {
    names: { left: 'node.rb_left', right: 'node.rb_right', parent: 'node.parent', length: 'rmap_hlist_len' },
    values: { pointer: ['left', 'right', 'parent', 'first', 'chain', 'dupNext', 'dupPrev'] },
  }),
};

/** What the objects of each cache are called. */
export const OBJECT_NAMES: Readonly<Partial<Record<CacheName, string>>> = {
  pageTable: 'table',
  anonVma: 'anon_vma',
  anonVmaChain: 'avc',
  vmaNode16: 'node',
  vmaNode64: 'node64',
  vmaNode256: 'node256',
  vmaNode1024: 'node1024',
  addressSpace: 'mapping',
  xaNode: 'xa_node',
  hugeContents: 'huge page contents',
};

export const TASK_FIELDS = fieldNames(TASK_TABLE, { names: { rcuActive: 'rcu' } });

export const GLOBAL_FIELDS = fieldNames(GLOBAL_TABLE, {
  names: { mmAllLocksMutex: 'mm_all_locks_mutex', rcuPeriod: 'rcu_state.gp_seq' },
  kinds: { internal: ['rcuPeriod', 'nextAsid', 'nextProcess'] },
  locks: { mmAllLocksMutex: MUTEX_TABLE, hugetlbLock: SPIN_TABLE, hugetlbFaultMutexes: MUTEX_TABLE },
});
