/** Values of words, read as what they are: entries, flags, lock counts. */

import { POISON } from '../arena/slab.ts';
import { ANON_VMA_LIST_LAST } from '../layout/anonVma.ts';
import type { PteVal } from '../layout/ids.ts';
import {
  MUTEX_FLAGS,
  MUTEX_OWNER_SHIFT,
  RWSEM_READER_SHIFT,
  RWSEM_WAITERS,
  RWSEM_WRITER,
} from '../layout/lockWords.ts';
import {
  PG_anonExclusive,
  PG_dirty,
  PG_locked,
  PG_lru,
  PG_reserved,
  PG_swapbacked,
  PG_uptodate,
  PG_waiters,
  mappingAnonVma,
  mappingAddressSpace,
  mappingIsKsm,
} from '../layout/page.ts';
import {
  pteIsDirty,
  pteIsMigration,
  pteIsNone,
  pteIsPresent,
  pteIsProtnone,
  pteIsReadableMigration,
  pteIsWritable,
  pteIsWritableMigration,
  pteIsYoung,
  ptePfn,
  pteType,
} from '../layout/pte.ts';
import {
  VM_DONTCOPY,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_READ,
  VM_SEALED,
  VM_SHARED,
  VM_STACK_INCOMPLETE_SETUP,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../layout/vma.ts';
import type { ValueKind } from './fieldNames.ts';

/** Name of the object that a pointer points to. */
export type PointerName = (pointer: number) => string;

const PAGE_FLAG_NAMES: readonly (readonly [number, string])[] = [
  [PG_locked, 'PG_locked'],
  [PG_waiters, 'PG_waiters'],
  [PG_anonExclusive, 'PG_anon_exclusive'],
  [PG_lru, 'PG_lru'],
  [PG_uptodate, 'PG_uptodate'],
  [PG_dirty, 'PG_dirty'],
  [PG_swapbacked, 'PG_swapbacked'],
  [PG_reserved, 'PG_reserved'],
];

const VM_FLAG_NAMES: readonly (readonly [number, string])[] = [
  [VM_READ, 'r'],
  [VM_WRITE, 'w'],
  [VM_EXEC, 'x'],
  [VM_SHARED, 'shared'],
  [VM_LOCKED, 'locked'],
  [VM_DONTCOPY, 'dontcopy'],
  [VM_WIPEONFORK, 'wipeonfork'],
  [VM_SEALED, 'sealed'],
  [VM_GROWSDOWN, 'growsdown'],
  [VM_HUGETLB, 'hugetlb'],
  [VM_STACK_INCOMPLETE_SETUP, 'stack_incomplete_setup'],
];

/** A value of a word of this kind. */
export function valueWords(kind: ValueKind, value: number, pointerName: PointerName): string {
  if (value === POISON) return 'poison';
  switch (kind) {
    case 'pte':
      return pteWords(value as PteVal);
    case 'pointer':
      return value === 0 ? 'NULL' : pointerName(value);
    case 'mapping':
      return mappingWords(value, pointerName);
    case 'pageFlags':
      return flagWords(value, PAGE_FLAG_NAMES);
    case 'vmFlags':
      return flagWords(value, VM_FLAG_NAMES);
    case 'spin':
      return ['free', 'held'][value] ?? 'held, contended';
    case 'rwsem':
      return rwsemWords(value);
    case 'lastKey':
      return value === ANON_VMA_LIST_LAST ? 'any' : String(value);
    case 'mutex':
      return value >> MUTEX_OWNER_SHIFT === 0
        ? 'free'
        : `task ${value >> MUTEX_OWNER_SHIFT}${(value & MUTEX_FLAGS) === 0 ? '' : ', contended'}`;
    default:
      return String(value);
  }
}

function pteWords(pte: PteVal): string {
  if (pteIsNone(pte)) return 'none';
  const bits = `${pteIsYoung(pte) ? 'A' : ''}${pteIsDirty(pte) ? 'D' : ''}`;
  const pfn = `pfn ${ptePfn(pte)}`;
  if (pteIsPresent(pte)) {
    const access = pteIsProtnone(pte) ? 'protnone' : pteIsWritable(pte) ? 'rw' : 'ro';
    return `present ${access} ${pfn}${bits === '' ? '' : ` ${bits}`}`;
  }
  if (!pteIsMigration(pte)) return `entry of type ${pteType(pte)} for ${pfn}`;
  const kind = pteIsWritableMigration(pte) ? 'write' : pteIsReadableMigration(pte) ? 'read' : 'read-exclusive';
  return `${kind} migration entry for ${pfn}${bits === '' ? '' : ` ${bits}`}`;
}

function flagWords(value: number, names: readonly (readonly [number, string])[]): string {
  const set = names.filter(([bit]) => (value & bit) !== 0).map(([, name]) => name);
  return set.length === 0 ? 'none' : set.join('|');
}

function mappingWords(value: number, pointerName: PointerName): string {
  const anonVma = mappingAnonVma(value);
  if (anonVma !== 0) return pointerName(anonVma);
  if (value === 0) return 'NULL';
  const file = mappingAddressSpace(value);
  if (file !== 0) return pointerName(file);
  return mappingIsKsm(value) ? 'ksm' : String(value);
}

function rwsemWords(count: number): string {
  const readers = count >> RWSEM_READER_SHIFT;
  const parts = [
    (count & RWSEM_WRITER) === 0 ? '' : 'writer',
    readers === 0 ? '' : `${readers} ${readers === 1 ? 'reader' : 'readers'}`,
    (count & RWSEM_WAITERS) === 0 ? '' : 'waiters',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'free' : parts.join(', ');
}
