/** Kernel threads and the MMU notifier: migrate, compact, reclaim, take-all-locks. */

import { EINTR } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { NO_MM, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { nrFrames } from '../../src/layout/page.ts';
import { mmapWriteLockKillable, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import type { CpuContext } from '../context.ts';
import { atPages } from '../trail.ts';
import { drawPage, drawSharedPage } from '../lanes.ts';
import { processMm, type Slot } from '../processTable.ts';

/** Pages a migrate call covers, frames a kernel thread looks at in one turn. */
const MIGRATE_PAGES = 8;
const SCAN_FRAMES = 32;

/** migrate_pages() over a few pages of the process, synchronous or not. */
export function opMigrate(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const isShared = task.prng.chance(0.2);
  const start = isShared ? drawSharedPage(task.cpu, cpu.cpus, task.prng) : drawPage(cpu.cpus, task.prng);
  atPages(cpu, start, MIGRATE_PAGES);
  const mode = task.prng.chance(0.7) ? 'sync' : 'async';
  const left = migrateRange(task, processMm(cpu.table, slot), start as Vpn, MIGRATE_PAGES, mode);
  return left < 0 ? left : 0;
}

/** kcompactd's turn: no address space of its own. */
export function opCompact(cpu: CpuContext): Sim<number> {
  const { task } = cpu;
  task.mm = NO_MM;
  compactScan(task, drawFrame(cpu), SCAN_FRAMES);
  return 0;
}

/** kswapd's turn. */
export function opReclaim(cpu: CpuContext): Sim<number> {
  const { task } = cpu;
  task.mm = NO_MM;
  reclaimScan(task, drawFrame(cpu), SCAN_FRAMES);
  return 0;
}

/** mmu_notifier_register(): every lock of the mm at once. */
export function opTakeAllLocks(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const mm = processMm(cpu.table, slot);
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const result = mmTakeAllLocks(task, mm);
  if (result === 0) mmDropAllLocks(task, mm);
  mmapWriteUnlock(task, mm);
  return result;
}

/** Frames are handed out from low numbers up, so the lower half is where pages are. */
function drawFrame(cpu: CpuContext): Pfn {
  const { prng, heap } = cpu.task;
  const frames = nrFrames(heap);
  return (1 + prng.below(Math.max(1, prng.chance(0.8) ? frames >> 3 : frames - SCAN_FRAMES))) as Pfn;
}
