/** What the recorder says after a step, as values. */

import { constants } from 'node:os';
import type { ObservedVma } from '../observe.ts';
import { FLAG_NAMES, PAGE_BYTES, WINDOW_BASE, type Action, type Result } from '../traceFormat.ts';

/** A VMA of the window; `inode` names the object of a shared or hugetlb mapping. */
export interface RawVma {
  readonly start: number;
  readonly end: number;
  readonly perms: string;
  readonly flags: string;
  readonly offset: number;
  readonly inode: string;
}

/** A present page: its frame, and the words of /proc/kpageflags and /proc/PID/pagemap without the frame number. */
export interface RawPage {
  readonly page: number;
  readonly pfn: string;
  readonly mapcount: number;
  readonly flags: bigint;
  readonly map: bigint;
  readonly stamp: number;
}

export interface RawProcess {
  readonly vmas: RawVma[];
  readonly pages: RawPage[];
}

export interface RawStep {
  readonly result: Result;
  readonly processes: ReadonlyMap<number, RawProcess>;
}

const SIGNAL_NAMES = ['', 'segv_maperr', 'segv_accerr', 'sigbus'];
const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
// The platform has two names for one number; the kernel knows the first.
ERRNO_NAMES.set(constants.errno.EAGAIN, 'EAGAIN').set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP');

/** Reads the lines of one answer. @throws Error when they are none */
export function readAnswer(lines: readonly string[], action: Action): RawStep {
  const processes = new Map<number, RawProcess>();
  let current: RawProcess = { vmas: [], pages: [] };
  let result: Result | null = null;
  for (const line of lines) {
    const words = line.split(' ').filter((word) => word !== '');
    switch (words[0]) {
      case 'r':
        result = readResult(words[1], words[2], action);
        break;
      case 'P':
        current = { vmas: [], pages: [] };
        processes.set(parseInt(words[1], 16), current);
        break;
      case 'V':
        current.vmas.push(readVma(words));
        break;
      case 'M':
        current.pages.push(readPage(words));
        break;
      default:
        throw new Error(`the recorder said '${line}'`);
    }
  }
  if (result === null) throw new Error('the recorder gave no result');
  return { result, processes };
}

function readResult(kind: string, hex: string, { op }: Action): Result {
  const value = Number(BigInt(`0x${hex}`));
  if (kind === 'e') return ERRNO_NAMES.get(value) ?? `E${value}`;
  if (kind === 's') return SIGNAL_NAMES[value] ?? `signal ${value}`;
  return op === 'mmap' || op === 'mremap' ? (value - WINDOW_BASE) / PAGE_BYTES : value;
}

function readVma([, start, end, perms, offset, inode, ...flags]: readonly string[]): RawVma {
  return {
    start: parseInt(start, 16),
    end: parseInt(end, 16),
    perms,
    flags: FLAG_NAMES.filter((name) => flags.includes(name)).join(' '),
    offset: parseInt(offset, 16),
    inode,
  };
}

function readPage([, page, pfn, mapcount, flags, map, stamp]: readonly string[]): RawPage {
  return {
    page: parseInt(page, 16),
    pfn,
    mapcount: parseInt(mapcount, 16),
    flags: BigInt(`0x${flags}`),
    map: BigInt(`0x${map}`),
    stamp: parseInt(stamp, 16),
  };
}

/** VMA as it was seen; the inode tells one object from another. */
export function vmaOf({ start, end, perms, flags, offset, inode }: RawVma): ObservedVma {
  if (inode === '0') return { start, end, perms, flags, object: null, offset: null };
  return { start, end, perms, flags, object: inode, offset };
}

const KPF_ANON = 1n << 12n;
const KPF_HUGE = 1n << 17n;
const KPF_KSM = 1n << 21n;
const KPF_ZERO_PAGE = 1n << 24n;
/** PG_anon_exclusive: a bit of its own in some kernels, in others that of PG_mappedtodisk, whose place it takes. */
const EXCLUSIVE_BITS = (1n << 47n) | (1n << 34n);
const MAP_FILE = 1n << 61n;
const MAP_EXCLUSIVE = 1n << 56n;

export function isZeroPage({ flags }: RawPage): boolean {
  return (flags & KPF_ZERO_PAGE) !== 0n;
}

export function isKsmPage({ flags }: RawPage): boolean {
  return (flags & KPF_KSM) !== 0n;
}

/** The letters of a page (format, section 4). */
export function lettersOf(page: RawPage): string {
  const isAnon = (page.flags & KPF_ANON) !== 0n && (page.map & MAP_FILE) === 0n;
  const isExclusive = isAnon && !isKsmPage(page) && (page.flags & EXCLUSIVE_BITS) !== 0n;
  return [
    (page.map & MAP_EXCLUSIVE) !== 0n ? 'x' : '',
    isExclusive ? 'e' : '',
    isKsmPage(page) ? 'k' : '',
    isAnon ? '' : 's',
    (page.flags & KPF_HUGE) !== 0n ? 'h' : '',
  ].join('');
}
