/** Accesses of an execution in words. */

import type { Heap } from '../arena/heap.ts';
import type { AccessSite } from '../base/finding.ts';
import { ACCESS } from '../instrument/runtime.ts';
import { wordText } from '../layout/wordName.ts';

/** Each kind of access as the kernel calls it. */
export const KIND_TEXT: Readonly<Record<number, string>> = {
  [ACCESS.read]: 'plain read',
  [ACCESS.write]: 'plain write',
  [ACCESS.readOnce]: 'READ_ONCE',
  [ACCESS.writeOnce]: 'WRITE_ONCE',
  [ACCESS.acquire]: 'smp_load_acquire',
  [ACCESS.release]: 'smp_store_release',
  [ACCESS.rmw]: 'atomic read-modify-write',
  [ACCESS.casFailed]: 'failed cmpxchg',
  [ACCESS.fence]: 'smp_mb',
  [ACCESS.park]: 'futex wait',
  [ACCESS.wake]: 'futex wake',
  [ACCESS.lock]: 'lock',
  [ACCESS.unlock]: 'unlock',
  [ACCESS.lockShared]: 'shared lock',
  [ACCESS.unlockShared]: 'shared unlock',
  [ACCESS.alloc]: 'allocation',
  [ACCESS.free]: 'free',
  [ACCESS.buffered]: 'buffered store',
  [ACCESS.racyRead]: 'data_race() read',
  [ACCESS.racyWrite]: 'data_race() write',
};

/** `task 2, step 17: plain read of vm_area_struct.start` */
export function describeSite(heap: Heap, { task, step, at, kind }: AccessSite): string {
  return `task ${task + 1}, step ${step}: ${KIND_TEXT[kind]} of ${wordText(heap, at)}`;
}
