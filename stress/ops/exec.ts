/** exec: a new address space whose temporary stack is built at the top and moved down before the process runs. */

import { EAGAIN, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { NO_MM, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { createInitStackVma, execShiftStack } from '../../src/mm/relocateVma.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { FAULT_OOM, userRead, userWrite } from '../../src/mm/userAccess.ts';
import type { CpuContext } from '../context.ts';
import { atPages, inProcess, withDetail } from '../trail.ts';
import { WINDOW_END } from '../lanes.ts';
import { claimSlot, freeSlot, openProcess } from '../processTable.ts';
import { clearShadow } from '../shadow.ts';
import { mapLanes, newAddressSpace } from './lifecycle.ts';

const STACK_PAGES = 4;
/** Farthest the stack moves; less than its size makes the two places overlap. */
const MAX_SHIFT = 24;

/** Builds, moves and checks a stack; then the process is open to all CPUs. */
export function opExec(cpu: CpuContext): Sim<number> {
  const { task, table } = cpu;
  const slot = claimSlot(table);
  if (slot < 0) return -EAGAIN;
  const { mm, number } = newAddressSpace(cpu);
  if (mm === NO_MM) {
    freeSlot(table, slot);
    return -ENOMEM;
  }
  task.mm = mm;
  inProcess(cpu, number);
  const shift = 1 + task.prng.below(MAX_SHIFT);
  const result = runExec(cpu, number, shift);
  if (result !== 0) {
    abandon(cpu, mm);
    freeSlot(table, slot);
    return result;
  }
  clearShadow(table, slot);
  mapLanes(cpu, slot, mm);
  openProcess(table, slot, mm, number, -1);
  return 0;
}

function runExec(cpu: CpuContext, number: number, shift: number): Sim<number> {
  const { task } = cpu;
  const start = (WINDOW_END - STACK_PAGES) as Vpn;
  atPages(cpu, start, STACK_PAGES);
  withDetail(cpu, shift);
  const created = createInitStackVma(task, WINDOW_END as Vpn, STACK_PAGES);
  if (created !== 0) return created;
  const value = ((number & 0xffff) << 16) | 1;
  for (let i = 0; i < STACK_PAGES; i++) {
    if (userWrite(task, (start + i) as Vpn, task.cpu, value + i) === FAULT_OOM) return -ENOMEM;
  }
  const shifted = execShiftStack(task, start, shift);
  if (shifted !== 0) return shifted;
  for (let i = 0; i < STACK_PAGES; i++) {
    const result = userRead(task, (start - shift + i) as Vpn, task.cpu);
    if (result === FAULT_OOM) return -ENOMEM;
    if (result === 0 && task.loaded === value + i) continue;
    cpu.report({
      kind: 'lost-write',
      title: `page ${i} of the stack of process ${number} lost its contents while exec moved it`,
      signature: 'stack contents lost by exec',
      evidence: [],
    });
  }
  return 0;
}

function abandon(cpu: CpuContext, mm: MmPtr): Sim<void> {
  cpu.task.mm = NO_MM;
  mmput(cpu.task, mm);
}
