/** madvise in own lanes: what fork does with a range, what it reads afterwards, what nobody sees. */

import { EINVAL, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { NO_TABLE, type Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../../src/layout/pageTable.ts';
import { pteIsPresent, ptePfn } from '../../src/layout/pte.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { pteOffsetMap, pteUnmap } from '../../src/mm/pteLock.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
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
} from '../../src/mm/syscallFlags.ts';
import { FAULT_OOM } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import type { PageRange } from '../lanes.ts';
import { processMm, type Slot } from '../processTable.ts';
import {
  TRAIT_NOT_COPIED,
  TRAIT_WIPED,
  UNKNOWN,
  UNMAPPED,
  giveUp,
  isForkUnsure,
  setShadow,
  setShadowStates,
  setTrait,
  shadowState,
} from '../shadow.ts';
import { address, drawMappedRange } from './mapping.ts';
import { readOwn, writeOwnWord } from './memory.ts';
import { forgetPins } from './pins.ts';

/** Advice that changes what fork does. */
interface ForkAdvice {
  readonly advice: number;
  readonly trait: number;
  readonly on: boolean;
}

const DONTFORK: ForkAdvice = { advice: MADV_DONTFORK, trait: TRAIT_NOT_COPIED, on: true };
const DOFORK: ForkAdvice = { advice: MADV_DOFORK, trait: TRAIT_NOT_COPIED, on: false };
const WIPEONFORK: ForkAdvice = { advice: MADV_WIPEONFORK, trait: TRAIT_WIPED, on: true };
const KEEPONFORK: ForkAdvice = { advice: MADV_KEEPONFORK, trait: TRAIT_WIPED, on: false };
/** Undone as often as done, so that children get most of the memory. */
const FORK_ADVICE = [DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK];
/** Advice that no access can tell from none. */
const SILENT_ADVICE = [
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
] as const;

/** madvise with advice that leaves the contents alone. */
export function opMadvise(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const range = drawMappedRange(cpu, slot);
  if (task.prng.chance(0.5)) return adviseForFork(cpu, slot, range);
  const silent = SILENT_ADVICE[task.prng.below(SILENT_ADVICE.length)];
  return sysMadvise(task, address(range.start), range.pages * PAGE_SIZE, silent);
}

/**
 * Writes to an own page and advises what fork shall do with it.
 *
 * @returns the page, to be looked at in the child
 */
export function preparePageForFork(cpu: CpuContext, slot: Slot): Sim<number> {
  const { start } = drawMappedRange(cpu, slot);
  writeOwnWord(cpu, slot, start);
  adviseForFork(cpu, slot, { start, pages: 1 });
  return start;
}

function adviseForFork(cpu: CpuContext, slot: Slot, { start, pages }: PageRange): Sim<number> {
  // Only of a range that is known in every respect can a child's page be foretold.
  if (isForkUnsure(cpu.table, slot, start, pages)) {
    adviseFork(cpu, slot, start, pages, DOFORK);
    adviseFork(cpu, slot, start, pages, KEEPONFORK);
  }
  return adviseFork(cpu, slot, start, pages, FORK_ADVICE[cpu.task.prng.below(FORK_ADVICE.length)]);
}

function adviseFork(cpu: CpuContext, slot: Slot, start: number, pages: number, fork: ForkAdvice): Sim<number> {
  const { task, table } = cpu;
  const { advice, trait, on } = fork;
  const result = sysMadvise(task, address(start), pages * PAGE_SIZE, advice);
  // Holes do not end it; anything else leaves the rest of the range as it was.
  setTrait(table, slot, start, pages, trait, result === 0 || result === -ENOMEM ? on : null);
  return result;
}

/** MADV_DONTNEED: what is mapped reads zero. Locked memory ends it somewhere. */
export function opDontneed(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task, table } = cpu;
  const { start, pages } = drawMappedRange(cpu, slot);
  forgetPins(cpu, slot, start, pages);
  const result = sysMadvise(task, address(start), pages * PAGE_SIZE, MADV_DONTNEED);
  for (let page = start; page < start + pages; page++) {
    const state = shadowState(table, slot, page);
    if (state === UNMAPPED) continue;
    if (result === -EINVAL) setShadowStates(table, slot, page, 1, UNKNOWN);
    else setShadow(table, slot, page, state, 0);
  }
  return result;
}

/** MADV_FREE: what is mapped may read zero until it is written. Often memory is short at once. */
export function opFree(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task, table } = cpu;
  const { start, pages } = drawMappedRange(cpu, slot);
  const page = start + task.prng.below(pages);
  if (task.prng.chance(0.5)) writeOwnWord(cpu, slot, page);
  giveUp(table, slot, start, pages);
  const result = sysMadvise(task, address(start), pages * PAGE_SIZE, MADV_FREE);
  const touch = task.prng.below(4);
  if (touch < 2) writeOwnWord(cpu, slot, page);
  else if (touch === 2) readOwn(cpu, slot, page);
  // The first scan makes pages old that were used, the second one takes them.
  for (let scans = task.prng.below(3); scans > 0; scans--) reclaimRange(cpu, slot, start, pages);
  const read = readOwn(cpu, slot, page);
  return read === FAULT_OOM ? -ENOMEM : result;
}

/** Direct reclaim that comes upon the pages of a range: a scan of all frames would rarely meet them. */
function reclaimRange({ task, table }: CpuContext, slot: Slot, start: number, pages: number): Sim<void> {
  const { heap } = task;
  const mm = processMm(table, slot);
  for (let page = start; page < start + pages; page++) {
    const vpn = page as Vpn;
    const pteTable = pteOffsetMap(task, mm, vpn);
    if (pteTable === NO_TABLE) continue;
    const pte = readOncePte(heap, entryAt(pteTable, vpn, LEVEL_PTE));
    pteUnmap(task);
    // Whose frame it is by now is reclaim's to find out.
    if (pteIsPresent(pte)) reclaimScan(task, ptePfn(pte), 1);
  }
}
