/**
 * Huge pages in the CPU's huge lane: mapped, written, moved, migrated, given back. The pool is small and everybody's, so a page may
 * be refused at any first touch; but the process that made a private mapping keeps what it wrote, whatever becomes of its children.
 */

import { POISON } from '../../src/arena/slab.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { FAULT_OOM, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import type { CpuContext, HugeWord } from '../context.ts';
import { HUGE_LANE_PAGES, hugeLane } from '../lanes.ts';
import { processMm, processNumber, type Slot } from '../processTable.ts';
import { judgeShared, nextSharedValue, noteSharedWrite } from '../sharedValues.ts';
import { atPages } from '../trail.ts';
import { address } from './mapping.ts';

const HUGE_PAGES = HUGE_LANE_PAGES / 2;
const HUGE_BYTES = HUGE_PAGES * PAGE_SIZE;
/** Processes whose mapping a CPU remembers. */
const MAX_KNOWN = 256;

/** One turn: a change of the mapping, or an access. */
export function opHugetlb(cpu: CpuContext, slot: Slot): Sim<number> {
  const { prng } = cpu.task;
  const known = cpu.hugeWords.get(processNumber(cpu.table, slot));
  const lane = hugeLane(cpu.task.cpu);
  atPages(cpu, lane, HUGE_LANE_PAGES);
  const draw = prng.below(10);
  if (draw < 3) return mapHuge(cpu, slot, lane);
  if (draw === 3) return unmapHuge(cpu, slot, lane);
  if (draw === 4) return migrateHuge(cpu, slot);
  if (known === undefined) return useUnknown(cpu, slot, lane);
  if (draw === 5) return moveHuge(cpu, slot, lane, known);
  if (draw === 6) return protectHuge(cpu, known);
  return useKnown(cpu, slot, known);
}

/** A new mapping of one or two huge pages, and the first write to it. */
function mapHuge(cpu: CpuContext, slot: Slot, lane: number): Sim<number> {
  const { task } = cpu;
  const isShared = task.prng.chance(0.4);
  const reserve = task.prng.chance(0.7) ? 0 : MAP_NORESERVE;
  const count = 1 + task.prng.below(2);
  const flags = (isShared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED | reserve;
  cpu.hugeWords.delete(processNumber(cpu.table, slot));
  const result = sysMmap(task, address(lane), count * HUGE_BYTES, PROT_READ | PROT_WRITE, flags);
  if (result < 0) return result;
  const word: HugeWord = { page: lane + task.prng.below(count * HUGE_PAGES), isShared, value: 0, id: 0 };
  const written = writeWord(cpu, word);
  if (written !== 0) return written;
  if (cpu.hugeWords.size >= MAX_KNOWN) cpu.hugeWords.clear();
  cpu.hugeWords.set(processNumber(cpu.table, slot), word);
  return 0;
}

function unmapHuge(cpu: CpuContext, slot: Slot, lane: number): Sim<number> {
  cpu.hugeWords.delete(processNumber(cpu.table, slot));
  const first = lane + cpu.task.prng.below(2) * HUGE_PAGES;
  return sysMunmap(cpu.task, address(first), (lane + HUGE_LANE_PAGES - first) * PAGE_SIZE);
}

/** The huge pages of any CPU's lane. */
function migrateHuge(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const start = hugeLane(task.prng.below(cpu.cpus)) as Vpn;
  const left = migrateRange(task, processMm(cpu.table, slot), start, HUGE_LANE_PAGES, 'sync');
  return Math.min(left, 0);
}

/** To the other half of the lane; what was mapped there goes. */
function moveHuge(cpu: CpuContext, slot: Slot, lane: number, known: HugeWord): Sim<number> {
  const from = known.page < lane + HUGE_PAGES ? lane : lane + HUGE_PAGES;
  const to = from === lane ? lane + HUGE_PAGES : lane;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const result = sysMremap(cpu.task, address(from), HUGE_BYTES, HUGE_BYTES, flags, address(to));
  if (result < 0) {
    cpu.hugeWords.delete(processNumber(cpu.table, slot));
    return result;
  }
  known.page += to - from;
  return useKnown(cpu, slot, known);
}

/** Read-only and back. */
function protectHuge(cpu: CpuContext, { page }: HugeWord): Sim<number> {
  const start = address(page - (page % HUGE_PAGES));
  const taken = sysMprotect(cpu.task, start, HUGE_BYTES, PROT_READ);
  const given = sysMprotect(cpu.task, start, HUGE_BYTES, PROT_READ | PROT_WRITE);
  return taken !== 0 ? taken : given;
}

/** Reads what this process wrote to its own mapping, then writes again. */
function useKnown(cpu: CpuContext, slot: Slot, known: HugeWord): Sim<number> {
  const { task } = cpu;
  const read = userRead(task, known.page as Vpn, task.cpu);
  if (read === FAULT_OOM) return read;
  if (read !== 0 || !isExpected(cpu, known)) {
    cpu.report({
      kind: 'lost-write',
      title: `huge page ${known.page} of process ${processNumber(cpu.table, slot)} has lost what was written`,
      signature: 'a value written to a huge page is lost',
      evidence: [],
    });
    cpu.hugeWords.delete(processNumber(cpu.table, slot));
    return read;
  }
  return writeWord(cpu, known);
}

function isExpected(cpu: CpuContext, { isShared, value, id }: HugeWord): boolean {
  return isShared ? !judgeShared(cpu.shared, id, cpu.task.loaded).isWrong : cpu.task.loaded === value;
}

/** Writes a new value; what a refused write leaves is what was there. */
function writeWord(cpu: CpuContext, word: HugeWord): Sim<number> {
  const value = nextSharedValue(cpu.shared);
  const result = userWrite(cpu.task, word.page as Vpn, cpu.task.cpu, value);
  if (result !== 0) return result;
  word.value = value;
  if (word.isShared) word.id = noteSharedWrite(cpu.shared, word.id, value);
  return 0;
}

/** A mapping inherited from the parent, or none: the access may be refused, but must not reach a freed page. */
function useUnknown(cpu: CpuContext, slot: Slot, lane: number): Sim<number> {
  const { task } = cpu;
  const page = (lane + task.prng.below(HUGE_LANE_PAGES)) as Vpn;
  const read = userRead(task, page, task.prng.below(cpu.cpus));
  if (read === 0 && task.loaded === POISON) {
    cpu.report({
      kind: 'use-after-free',
      title: `huge page ${page} of process ${processNumber(cpu.table, slot)} reads the poison of a freed page`,
      signature: 'a huge page in use is a freed one',
      evidence: [],
    });
  }
  return read;
}
