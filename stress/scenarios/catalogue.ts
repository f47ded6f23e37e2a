/** The scenarios, in the order of `mmstorm scenarios`: one for each bug of the catalogue first, then those without a bug. */

import { UsageError } from '../../src/base/usageError.ts';
import { copyOnWriteRace } from './copyOnWriteRace.ts';
import { degreeDoubleReuse } from './degreeDoubleReuse.ts';
import { exitVsMigration } from './exitVsMigration.ts';
import { faultVsFork } from './faultVsFork.ts';
import { firstWrites } from './firstWrites.ts';
import { forkSharesPinnedPage } from './forkSharesPinnedPage.ts';
import { forkVsMigration } from './forkVsMigration.ts';
import { migrationEntryWait } from './migrationEntryWait.ts';
import { mmTakeAllLocksOrder } from './mmTakeAllLocksOrder.ts';
import { mremapTlbFlushAfterPtl } from './mremapTlbFlushAfterPtl.ts';
import { mremapVsRmapWalk } from './mremapVsRmapWalk.ts';
import { munmapVsFault } from './munmapVsFault.ts';
import { munmapVsGup } from './munmapVsGup.ts';
import { findPair } from './pairs.ts';
import { rmapWalkMultiLockDeadlock } from './rmapWalkMultiLockDeadlock.ts';
import type { Scenario } from './scenario.ts';
import { shiftArgPagesVsMigration } from './shiftArgPagesVsMigration.ts';
import { splitInsertBeforeRmapVisible } from './splitInsertBeforeRmapVisible.ts';
import { vmaAdjustUnlocked } from './vmaAdjustUnlocked.ts';
import { vmaWriterWaits } from './vmaWriterWaits.ts';

export const SCENARIOS: readonly Scenario[] = [
  vmaAdjustUnlocked,
  splitInsertBeforeRmapVisible,
  mmTakeAllLocksOrder,
  rmapWalkMultiLockDeadlock,
  shiftArgPagesVsMigration,
  forkSharesPinnedPage,
  mremapTlbFlushAfterPtl,
  degreeDoubleReuse,
  forkVsMigration,
  mremapVsRmapWalk,
  munmapVsGup,
  munmapVsFault,
  exitVsMigration,
  faultVsFork,
  copyOnWriteRace,
  firstWrites,
  migrationEntryWait,
  vmaWriterWaits,
];

/** Scenario of that id. @throws UsageError with the known ids */
export function findScenario(id: string): Scenario {
  const found = SCENARIOS.find((candidate) => candidate.id === id) ?? findPair(id);
  if (found !== undefined) return found;
  throw new UsageError(`unknown scenario '${id}' (known: ${SCENARIOS.map((known) => known.id).join(', ')})`);
}
