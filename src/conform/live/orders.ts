/**
 * Steps as orders to the recorder: real numbers for real system calls. Also what keeps a step harmless: the recorder's
 * processes live outside the window, so nothing there may be unmapped, protected or moved over.
 */

import { PAGE_BYTES, TASK_SIZE, WINDOW_BASE, WINDOW_PAGES, type Action, type Operand } from '../traceFormat.ts';

const PROT_BITS = { none: 0, r: 1, rw: 3 } as const;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MMAP_BITS = {
  fixed: 0x10,
  fixed_noreplace: 0x10_0000,
  populate: 0x8000,
  noreserve: 0x4000,
  locked: 0x2000,
  hugetlb: 0x4_0000,
} as const;
const MREMAP_BITS = { maymove: 1, fixed: 2, dontunmap: 4, bad8: 8 } as const;
const MLOCK2_BITS = { onfault: 1, bad8: 8 } as const;
const ADVICE_NUMBERS: Readonly<Record<string, number>> = {
  normal: 0,
  random: 1,
  sequential: 2,
  willneed: 3,
  dontneed: 4,
  free: 8,
  dontfork: 10,
  dofork: 11,
  mergeable: 12,
  unmergeable: 13,
  wipeonfork: 18,
  keeponfork: 19,
  populate_read: 22,
  populate_write: 23,
  bad: 99,
};

const BASE = BigInt(WINDOW_BASE);
const PAGE = BigInt(PAGE_BYTES);
const WINDOW_END = BASE + BigInt(WINDOW_PAGES) * PAGE;
const END = BigInt(TASK_SIZE);
const WORD = 1n << 64n;

/** The line that makes the recorder carry a step out. */
export function orderOf(action: Action): string {
  const words = [action.op, 'p' in action ? action.p : 0, ...argumentsOf(action)];
  return words.map((word) => (typeof word === 'string' ? word : word.toString(16))).join(' ');
}

function argumentsOf(action: Action): (number | bigint)[] {
  switch (action.op) {
    case 'mmap': {
      const sharing = action.shared ? MAP_SHARED : MAP_PRIVATE;
      const flags = MAP_ANONYMOUS | sharing | bitsOf(action.flags, MMAP_BITS);
      return [addressOf(action.at), lengthOf(action.len), PROT_BITS[action.prot], flags];
    }
    case 'mremap': {
      const flags = bitsOf(action.flags, MREMAP_BITS);
      return [...rangeOf(action), lengthOf(action.newLen), flags, addressOf(action.to)];
    }
    case 'mprotect':
      return [...rangeOf(action), PROT_BITS[action.prot]];
    case 'madvise':
      return [...rangeOf(action), ADVICE_NUMBERS[action.advice]];
    case 'mlock2':
      return [...rangeOf(action), bitsOf(action.flags, MLOCK2_BITS)];
    case 'pin':
      return [...rangeOf(action), action.id];
    case 'read':
      return [WINDOW_BASE + action.page * PAGE_BYTES];
    case 'write':
      return [WINDOW_BASE + action.page * PAGE_BYTES, action.value];
    case 'fork':
      return [action.child];
    case 'unpin':
      return [action.id];
    case 'exit':
    case 'ksm':
      return [];
    default:
      return rangeOf(action);
  }
}

function bitsOf(names: readonly string[], bits: Readonly<Record<string, number>>): number {
  return names.reduce((sum, name) => sum | bits[name], 0);
}

function rangeOf({ at, len }: { readonly at: Operand; readonly len: Operand }): [bigint, bigint] {
  return [addressOf(at), lengthOf(len)];
}

function addressOf(operand: Operand | null): bigint {
  return operand === null ? 0n : bytesOf(operand.text, BASE);
}

function lengthOf({ text }: Operand): bigint {
  return bytesOf(text, 0n);
}

/** The exact number of bytes: `Operand.bytes` is a double. */
function bytesOf(text: string, base: bigint): bigint {
  if (text.startsWith('@')) return BigInt(`0x${text.slice(1)}`);
  const [pages, bytes = '0'] = text.split('+');
  return base + BigInt(pages) * PAGE + BigInt(bytes);
}

/** True when a step can change nothing outside of the window, whatever the kernel thinks of it. */
export function isContained(action: Action): boolean {
  switch (action.op) {
    case 'mmap':
      return !action.flags.includes('fixed') || isHarmless(addressOf(action.at), lengthOf(action.len));
    case 'mremap': {
      const [at, len] = rangeOf(action);
      if (!isHarmless(at, len)) return false;
      return !action.flags.includes('fixed') || isHarmless(addressOf(action.to), lengthOf(action.newLen));
    }
    case 'pin':
    case 'migrate':
      return isInside(...rangeOf(action));
    case 'munmap':
      return isHarmless(...rangeOf(action));
    default:
      return !('at' in action) || isHarmlessWalk(...rangeOf(action));
  }
}

/** Of the calls that walk from mapping to mapping: what is past the end of the address space does not stop them. */
function isHarmlessWalk(at: bigint, len: bigint): boolean {
  return isInside(at, len) || at >= END || at + len >= WORD;
}

/** Inside of the window, or past the end of the address space, which these calls look at first. */
function isHarmless(at: bigint, len: bigint): boolean {
  const size = (len + PAGE - 1n) & ~(PAGE - 1n);
  return size >= WORD || at + size > END || isInside(at, len);
}

function isInside(at: bigint, len: bigint): boolean {
  return at >= BASE && at <= WINDOW_END && at + len <= WINDOW_END;
}
