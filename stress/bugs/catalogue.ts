/** The catalogue, in the order of `mmstorm bugs`. */

import { UsageError } from '../../src/base/usageError.ts';
import type { Bug } from './bug.ts';
import { degreeDoubleReuse } from './degreeDoubleReuse.ts';
import { forkSharesPinnedPage } from './forkSharesPinnedPage.ts';
import { mmTakeAllLocksOrder } from './mmTakeAllLocksOrder.ts';
import { mremapTlbFlushAfterPtl } from './mremapTlbFlushAfterPtl.ts';
import { rmapWalkMultiLockDeadlock } from './rmapWalkMultiLockDeadlock.ts';
import { shiftArgPagesVsMigration } from './shiftArgPagesVsMigration.ts';
import { splitInsertBeforeRmapVisible } from './splitInsertBeforeRmapVisible.ts';
import { vmaAdjustUnlocked } from './vmaAdjustUnlocked.ts';

export const BUGS: readonly Bug[] = [
  vmaAdjustUnlocked,
  splitInsertBeforeRmapVisible,
  mmTakeAllLocksOrder,
  rmapWalkMultiLockDeadlock,
  shiftArgPagesVsMigration,
  forkSharesPinnedPage,
  mremapTlbFlushAfterPtl,
  degreeDoubleReuse,
];

/** Bug of that id. @throws UsageError with the known ids */
export function findBug(id: string): Bug {
  const bug = BUGS.find((candidate) => candidate.id === id);
  if (bug === undefined)
    throw new UsageError(`unknown bug '${id}' (known: ${BUGS.map((known) => known.id).join(', ')})`);
  return bug;
}
