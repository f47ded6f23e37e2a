/**
 * The user address space in its two notations: system calls name byte addresses and byte lengths (JavaScript numbers up to
 * 2^64), everything below counts pages from USER_BASE (Vpn, which fits a word).
 *
 * Addresses below USER_BASE have negative page numbers and are never mapped: what the kernel would place or accept there
 * is refused. A misaligned address has a fractional page number; whoever must refuse it tests for that.
 *
 * Kernel: TASK_SIZE, PAGE_ALIGN(), offset_in_page(), the mmap_base of an mm. Not modelled: 5-level tables, ASLR.
 */

import type { Access } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, Vpn } from '../layout/ids.ts';
import { setMmMmapWindow } from '../layout/mm.ts';

export const PAGE_SIZE = 4096;
/** Byte address of page number 0; a multiple of 2 MiB. */
export const USER_BASE = 0x7f00_0000_0000;
/** End of the user address space on x86-64 with 4-level tables. */
export const TASK_SIZE = 0x7fff_ffff_f000;
/** Page number of TASK_SIZE. */
export const TASK_END = (TASK_SIZE - USER_BASE) / PAGE_SIZE;
/** TASK_SIZE as a length. */
export const TASK_PAGES = TASK_SIZE / PAGE_SIZE;
/** Page number of address 0: as a hint, "no hint". */
export const NULL_VPN = -USER_BASE / PAGE_SIZE;
/** vm.mmap_min_addr: without CAP_SYS_RAWIO nothing may be mapped below. */
export const MMAP_MIN_VPN = NULL_VPN + 1;
/** Placement window of a fresh mm. */
export const DEFAULT_MMAP_END = 4096;

const ADDRESS_SPACE = 2 ** 64;

/** PAGE_ALIGN(): rounds up to whole pages; wraps to 0 above the last page of the 64-bit address space. */
export function pageAlign(bytes: number): number {
  return wrapAddress(Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE);
}

/** Pages that `bytes` bytes need, with PAGE_ALIGN()'s wrap to 0. */
export function pagesOf(bytes: number): number {
  return pageAlign(bytes) / PAGE_SIZE;
}

/** A sum of two addresses as unsigned 64-bit arithmetic gives it. */
export function wrapAddress(sum: number): number {
  return sum >= ADDRESS_SPACE ? sum - ADDRESS_SPACE : sum;
}

/** offset_in_page() != 0. */
export function isMisaligned(address: number): boolean {
  return address % PAGE_SIZE !== 0;
}

/** Page number of a byte address: negative below USER_BASE, fractional when misaligned, possibly beyond TASK_END. */
export function addrToVpn(address: number): Vpn {
  return ((address - USER_BASE) / PAGE_SIZE) as Vpn;
}

/** Byte address of a page number. */
export function vpnToAddr(vpn: number): number {
  return USER_BASE + vpn * PAGE_SIZE;
}

/** Confines the placement of an mm's mappings to [first, end), and their growth to below `end`. */
export function setMmapWindow(task: Task, mm: MmPtr, first: Vpn, end: Vpn): Access<void> {
  setMmMmapWindow(task.heap, mm, first, end);
}
