/** Processes that fork from each other, for tests of what that does to anon_vmas. */
import { assert } from '../../src/base/assert.ts';
import { slabGeneration } from '../../src/arena/slab.ts';
import type { Sim } from '../../src/base/sim.ts';
import { avcAnonVma, avcSameVmaNext } from '../../src/layout/anonVma.ts';
import { NO_AVC, NO_VMA, type AnonVmaPtr, type MmPtr, type VmaPtr, type Vpn } from '../../src/layout/ids.ts';
import { vmaAnonVma, vmaAvcFirst } from '../../src/layout/vma.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { PROT_READ } from '../../src/mm/syscallFlags.ts';
import { sysMprotect, sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import type { Sandbox } from './sandbox.ts';

/** Processes by number, 1 is the sandbox's own; anon_vmas by the order in which they were first seen. */
export class Family {
  readonly box: Sandbox;
  private readonly mms: MmPtr[];
  private readonly names = new Map<string, number>();

  constructor(box: Sandbox) {
    this.box = box;
    this.mms = [0 as MmPtr, box.mm];
  }

  mm(process: number): MmPtr {
    return this.mms[process];
  }

  /** Notes the child of a fork as the next process, to be dropped at the end of the test. */
  adopt(child: number): void {
    assert(child > 0, 'fork failed');
    this.mms.push(child as MmPtr);
    this.box.others.push(child as MmPtr);
  }

  /** Notes that a process has been dropped. */
  forget(process: number): void {
    const at = this.box.others.indexOf(this.mm(process));
    if (at >= 0) this.box.others.splice(at, 1);
  }

  /** Number of an anon_vma; one that took a freed one's memory is another. */
  nameOf(anonVma: AnonVmaPtr): number {
    const key = `${anonVma}:${slabGeneration(this.box.heap, anonVma)}`;
    const known = this.names.get(key);
    if (known !== undefined) return known;
    this.names.set(key, this.names.size + 1);
    return this.names.size;
  }
}

/** Forks a process; the child gets the next number. */
export function fork(family: Family, parent: number): Sim<void> {
  const child = dupMm(family.box.task, family.mm(parent));
  family.adopt(child);
}

/** Ends a process; the first one stays with the sandbox and only loses its mappings. */
export function exit(family: Family, process: number): Sim<void> {
  if (process === 1) {
    unmap(family, 1, 0, 1024);
    return;
  }
  mmput(family.box.task, family.mm(process));
  family.forget(process);
}

export function unmap(family: Family, process: number, vpn: number, nrPages: number): Sim<void> {
  const task = { ...family.box.task, mm: family.mm(process) };
  const error = sysMunmap(task, vpnToAddr(vpn), nrPages * PAGE_SIZE);
  assert(error === 0, 'munmap failed');
}

/** Splits the VMA at `vpn` off its lower pages by taking the right to write from the rest. */
export function split(family: Family, process: number, vpn: number, nrPages: number): Sim<void> {
  const task = { ...family.box.task, mm: family.mm(process) };
  const error = sysMprotect(task, vpnToAddr(vpn), nrPages * PAGE_SIZE, PROT_READ);
  assert(error === 0, 'mprotect failed');
}

export function vmaOf(family: Family, process: number, vpn: number): Sim<VmaPtr> {
  const vma = vmaLookup(family.box.task, family.mm(process), vpn as Vpn);
  assert(vma !== NO_VMA, 'no VMA there');
  return vma;
}

/** The anon_vma that new pages of the VMA get. */
export function active(family: Family, process: number, vpn: number): Sim<number> {
  return family.nameOf(vmaAnonVma(family.box.heap, vmaOf(family, process, vpn)));
}

/** The VMA's anon_vmas from the head of its chain. */
export function chain(family: Family, process: number, vpn: number): Sim<number[]> {
  const { heap } = family.box;
  const names: number[] = [];
  let avc = vmaAvcFirst(heap, vmaOf(family, process, vpn));
  while (avc !== NO_AVC) {
    names.push(family.nameOf(avcAnonVma(heap, avc)));
    avc = avcSameVmaNext(heap, avc);
  }
  return names;
}
