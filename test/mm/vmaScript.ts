/**
 * Address spaces as pictures, and small scripts that change them, for table tests of the VMA side. One step per line; pages
 * are counted from the page BASE.
 *
 *   map AT LEN PROT [FLAG...]        PROT rw r w n x (= rwx); FLAG nr (MAP_NORESERVE), noreplace, populate, locked, shared,
 *                                    hint (not fixed)
 *   unmap AT LEN      protect AT LEN PROT      remap AT OLD NEW FLAGS [TO]   (FLAGS of M F D, or -)
 *   move AT LEN TO    remap with MF, equal lengths      keep AT LEN TO   the same with MFD
 *   write AT TEXT     one character per page, `.` skips a page           read AT LEN
 *   fork              goes on in the child              limit N          max_map_count := map_count + N
 *   lock AT LEN       mlock                             lockonfault AT LEN                unlock AT LEN
 *   memlock N         RLIMIT_MEMLOCK := N pages         seal AT LEN                       advise AT LEN ADVICE
 *
 * A step may be followed by what it must lead to:
 *
 *   = RESULT          page number, 0 or errno name; without it the step must succeed
 *   see AT PICTURE    VMAs: one letter of PROT per page, `.` for no mapping, `|` between two VMAs that touch
 *   data AT PICTURE   pages: their character, `0` zero page, `_` mapped but empty, `.` for no mapping
 *   marks AT PICTURE  other flags, one letter per page (MARKS), `-` for none of them, `.` for no mapping
 */
import { expect } from 'vitest';
import { fail } from '../../src/base/assert.ts';
import { errnoName } from '../../src/base/errno.ts';
import type { Access, Sim } from '../../src/base/sim.ts';
import { treeRanges } from '../../src/check/view.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { MmPtr, Vpn } from '../../src/layout/ids.ts';
import { mmMapCount, setMmMaxMapCount, setMmMemlockLimit } from '../../src/layout/mm.ts';
import { pageContent, zeroPfn } from '../../src/layout/page.ts';
import { pteIsNone, ptePfn } from '../../src/layout/pte.ts';
import {
  VMA,
  VM_DONTCOPY,
  VM_EXEC,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MERGEABLE,
  VM_RAND_READ,
  VM_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../../src/layout/vma.ts';
import { sysFork } from '../../src/mm/fork.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { sysMlock, sysMlock2, sysMunlock } from '../../src/mm/mlock.ts';
import { sysMseal } from '../../src/mm/mseal.ts';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NORMAL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MLOCK_ONFAULT,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, addrToVpn, vpnToAddr } from '../../src/mm/userSpace.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { pteAt, mmTest, type Sandbox, type SandboxOptions } from './sandbox.ts';

/** Page of the address space that scripts call 0. */
export const BASE = 64;

const PROTS: Readonly<Record<string, number>> = {
  n: PROT_NONE,
  r: PROT_READ,
  w: PROT_WRITE,
  rw: PROT_READ | PROT_WRITE,
  x: PROT_READ | PROT_WRITE | PROT_EXEC,
};
const MAP_FLAGS: Readonly<Record<string, number>> = {
  nr: MAP_NORESERVE,
  noreplace: MAP_FIXED_NOREPLACE,
  populate: MAP_POPULATE,
  locked: MAP_LOCKED,
  shared: MAP_SHARED,
  hint: 0,
};
const REMAP_FLAGS: Readonly<Record<string, number>> = {
  '-': 0,
  M: MREMAP_MAYMOVE,
  F: MREMAP_FIXED,
  D: MREMAP_DONTUNMAP,
};
const EXPECTATIONS = ['=', 'see', 'data', 'marks'];
/** The first that a VMA has stands for it. */
const MARKS: readonly (readonly [string, number])[] = [
  ['s', VM_SEALED],
  ['f', VM_LOCKONFAULT],
  ['l', VM_LOCKED],
  ['d', VM_DONTCOPY],
  ['w', VM_WIPEONFORK],
  ['m', VM_MERGEABLE],
  ['q', VM_SEQ_READ],
  ['r', VM_RAND_READ],
];
const ADVICE: Readonly<Record<string, number>> = {
  normal: MADV_NORMAL,
  random: MADV_RANDOM,
  sequential: MADV_SEQUENTIAL,
  willneed: MADV_WILLNEED,
  dontneed: MADV_DONTNEED,
  dontneedLocked: MADV_DONTNEED_LOCKED,
  free: MADV_FREE,
  dontfork: MADV_DONTFORK,
  dofork: MADV_DOFORK,
  mergeable: MADV_MERGEABLE,
  unmergeable: MADV_UNMERGEABLE,
  wipeonfork: MADV_WIPEONFORK,
  keeponfork: MADV_KEEPONFORK,
  populateRead: MADV_POPULATE_READ,
  populateWrite: MADV_POPULATE_WRITE,
  bad: 99,
};

/** Registers a test that runs a script from an empty address space. */
export function scriptTest(name: string, script: string, options: SandboxOptions = {}): void {
  mmTest(name, (box: Sandbox): Sim<void> => runScript(box, script), options);
}

/** Runs a script and checks what it says. */
export function runScript(box: Sandbox, script: string): Sim<void> {
  for (const line of script.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '') continue;
    const split = words.findIndex((word) => EXPECTATIONS.includes(word));
    const step = split < 0 ? words : words.slice(0, split);
    const result = step.length === 0 ? 0 : runStep(box, step);
    judge(box, line.trim(), split < 0 ? [] : words.slice(split), result);
  }
}

/** Does one step. @returns what the system call returned, an address as a page number */
export function runStep(box: Sandbox, words: readonly string[]): Sim<number> {
  const { task, heap } = box;
  const [command, ...args] = words as [string, ...string[]];
  const at = address(args[0]);
  const len = Number(args[1]) * PAGE_SIZE;
  switch (command) {
    case 'map':
      return pageResult(sysMmap(task, at, len, PROTS[args[2]], mapFlags(args.slice(3))));
    case 'unmap':
      return sysMunmap(task, at, len);
    case 'protect':
      return sysMprotect(task, at, len, PROTS[args[2]]);
    case 'remap':
      return pageResult(sysMremap(task, at, len, Number(args[2]) * PAGE_SIZE, remapFlags(args[3]), address(args[4])));
    case 'move':
      return pageResult(sysMremap(task, at, len, len, remapFlags('MF'), address(args[2])));
    case 'keep':
      return pageResult(sysMremap(task, at, len, len, remapFlags('MFD'), address(args[2])));
    case 'lock':
      return sysMlock(task, at, len);
    case 'lockonfault':
      return sysMlock2(task, at, len, MLOCK_ONFAULT);
    case 'unlock':
      return sysMunlock(task, at, len);
    case 'seal':
      return sysMseal(task, at, len, 0);
    case 'advise':
      return sysMadvise(task, at, len, ADVICE[args[2]]);
    case 'memlock':
      setMmMemlockLimit(heap, box.mm, Number(args[0]));
      return 0;
    case 'write':
      return writePages(box, Number(args[0]), args[1]);
    case 'read':
      return readPages(box, Number(args[0]), Number(args[1]));
    case 'fork':
      return enterChild(box);
    case 'limit':
      setMmMaxMapCount(heap, box.mm, mmMapCount(heap, box.mm) + Number(args[0]));
      return 0;
    default:
      return fail(`no such step: ${command}`);
  }
}

/** VMAs of [BASE + at, BASE + at + nr): see the picture language above. */
export function drawVmas(heap: Heap, mm: MmPtr, at: number, nr: number): string {
  let picture = '';
  let previous = 0;
  for (let page = BASE + at; page < BASE + at + nr; page++) {
    const range = treeRanges(heap, mm).find(({ start, end }) => start <= page && page < end);
    const vma: number = range?.vma ?? 0;
    if (vma !== previous && vma !== 0 && previous !== 0) picture += '|';
    picture += vma === 0 ? '.' : protLetter(heap[vma + VMA.flags]);
    previous = vma;
  }
  return picture;
}

/** Flags of the pages of [BASE + at, BASE + at + nr), one letter each: see MARKS. */
function drawMarks(heap: Heap, mm: MmPtr, at: number, nr: number): string {
  let picture = '';
  for (let page = BASE + at; page < BASE + at + nr; page++) {
    const vma: number = treeRanges(heap, mm).find(({ start, end }) => start <= page && page < end)?.vma ?? 0;
    const flags = vma === 0 ? 0 : heap[vma + VMA.flags];
    const letter = MARKS.find(([, flag]) => (flags & flag) !== 0)?.[0] ?? '-';
    picture += vma === 0 ? '.' : letter;
  }
  return picture;
}

/** Pages of [BASE + at, BASE + at + nr) as the page tables have them. */
export function drawPages(box: Sandbox, at: number, nr: number): Sim<string> {
  const { heap, mm } = box;
  let picture = '';
  for (let page = BASE + at; page < BASE + at + nr; page++) {
    const mapped = treeRanges(heap, mm).some(({ start, end }) => start <= page && page < end);
    const pte = pteAt(box, page);
    if (!mapped) picture += pteIsNone(pte) ? '.' : '!';
    else picture += pteIsNone(pte) ? '_' : contentLetter(heap, ptePfn(pte));
  }
  return picture;
}

function judge(box: Sandbox, line: string, words: readonly string[], result: number): Sim<void> {
  let i = 0;
  if (words[0] === '=') {
    expect(result < 0 ? errnoName(result) : String(result), line).toBe(words[1]);
    i = 2;
  } else {
    expect(result < 0 ? errnoName(result) : 'success', line).toBe('success');
  }
  for (; i < words.length; i += 3) {
    const at = Number(words[i + 1]);
    const picture = words[i + 2];
    const nr = picture.replaceAll('|', '').length;
    expect(draw(box, words[i], at, nr), line).toBe(picture);
  }
}

function draw(box: Sandbox, what: string, at: number, nr: number): Sim<string> {
  if (what === 'see') return drawVmas(box.heap, box.mm, at, nr);
  return what === 'marks' ? drawMarks(box.heap, box.mm, at, nr) : drawPages(box, at, nr);
}

function writePages(box: Sandbox, at: number, text: string): Sim<number> {
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '.') continue;
    const error = userWrite(box.task, (BASE + at + i) as Vpn, 0, text.charCodeAt(i));
    if (error !== 0) return error;
  }
  return 0;
}

function readPages(box: Sandbox, at: number, nr: number): Sim<number> {
  for (let i = 0; i < nr; i++) {
    const error = userRead(box.task, (BASE + at + i) as Vpn, 0);
    if (error !== 0) return error;
  }
  return 0;
}

function enterChild(box: Sandbox): Sim<number> {
  const child = sysFork(box.task);
  if (child < 0) return child;
  box.others.push(box.mm);
  box.mm = child as MmPtr;
  box.task.mm = box.mm;
  return 0;
}

function contentLetter(heap: Heap, pfn: Parameters<typeof pageContent>[1]): Access<string> {
  const content = pageContent(heap, pfn, 0);
  return pfn === zeroPfn(heap) || content === 0 ? '0' : String.fromCharCode(content);
}

function protLetter(flags: number): string {
  const access = flags & (VM_READ | VM_WRITE | VM_EXEC);
  if (access === 0) return 'n';
  if ((access & VM_EXEC) !== 0) return 'x';
  return (access & VM_WRITE) !== 0 ? 'w' : 'r';
}

function address(page: string | undefined): number {
  return page === undefined || page === 'null' ? 0 : vpnToAddr(BASE + Number(page));
}

function pageResult(result: number): number {
  return result < 0 ? result : addrToVpn(result) - BASE;
}

function mapFlags(names: readonly string[]): number {
  const fixed = names.includes('hint') || names.includes('noreplace') ? 0 : MAP_FIXED;
  const type = names.includes('shared') ? 0 : MAP_PRIVATE;
  return names.reduce((flags, name) => flags | MAP_FLAGS[name], type | MAP_ANONYMOUS | fixed);
}

function remapFlags(letters: string): number {
  return [...letters].reduce((flags, letter) => flags | REMAP_FLAGS[letter], 0);
}
