/** Mergeable memory on a small machine, for tests of KSM. */
import { expect } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { KSM_RUN_MERGE } from '../../src/layout/ksm.ts';
import { mappingIsKsm, readOncePageMapping } from '../../src/layout/page.ts';
import { ksmSetRun, ksmdPasses } from '../../src/mm/ksmd.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { MADV_MERGEABLE, MADV_UNMERGEABLE } from '../../src/mm/syscallFlags.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { mapPages, pfnAtVpn, writeIn, type Sandbox } from './sandbox.ts';

/** First page of the memory that the tests merge. */
export const AT = 10;

export function advise(box: Sandbox, vpn: number, nrPages: number, advice: number, mm = box.mm): Sim<number> {
  const { task } = box;
  const own = task.mm;
  task.mm = mm;
  const error = sysMadvise(task, vpnToAddr(vpn), nrPages * PAGE_SIZE, advice);
  task.mm = own;
  return error;
}

export function unmergeable(box: Sandbox, vpn: number, nrPages: number, mm = box.mm): Sim<number> {
  return advise(box, vpn, nrPages, MADV_UNMERGEABLE, mm);
}

/** Maps mergeable memory at AT with one page for each value, word 0 of which holds it; 0 stays untouched. */
export function mapValues(box: Sandbox, values: readonly number[]): Sim<void> {
  mapPages(box, AT, values.length);
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== 0) expect(writeIn(box.task, box.mm, AT + i, values[i])).toBe(0);
  }
  const error = advise(box, AT, values.length, MADV_MERGEABLE);
  assert(error === 0, 'MADV_MERGEABLE failed');
}

/** KSM runs until so many more passes are complete. */
export function runPasses(box: Sandbox, passes = 3): Sim<void> {
  const { task4 } = box;
  const own = task4.mm;
  task4.mm = 0 as MmPtr;
  ksmSetRun(task4, KSM_RUN_MERGE);
  ksmdPasses(task4, passes);
  task4.mm = own;
}

/** Pages from AT on by frame: equal letters for one frame, upper case for a KSM page, `.` for none. */
export function frames(box: Sandbox, nrPages: number, mm = box.mm): Sim<string> {
  const seen: number[] = [];
  let picture = '';
  for (let vpn = AT; vpn < AT + nrPages; vpn++) {
    const pfn = pfnAtVpn(box, vpn, mm);
    if (pfn === 0) {
      picture += '.';
      continue;
    }
    if (!seen.includes(pfn)) seen.push(pfn);
    const letter = String.fromCharCode('a'.charCodeAt(0) + seen.indexOf(pfn));
    picture += mappingIsKsm(readOncePageMapping(box.heap, pfn)) ? letter.toUpperCase() : letter;
  }
  return picture;
}

/** Slots, rmap_items and stable nodes that KSM has. */
export function records(box: Sandbox): Sim<number[]> {
  const counts: number[] = [];
  for (const cache of [CACHES.ksmMmSlot, CACHES.ksmRmapItem, CACHES.ksmStableNode]) {
    counts.push(slabAllocatedCount(box.heap, cache));
  }
  return counts;
}
