/**
 * The state of one mremap(2), threaded through all its steps, in pages.
 *
 * `vma` is cleared wherever an unmapping may have freed or split it, and looked up again before it is used. `mmapLocked` says
 * at every return whether the mmap lock is held: shrinking in place releases it.
 *
 * Kernel: struct vma_remap_struct in mm/mremap.c. Not modelled: userfaultfd lists, charges.
 */

import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED } from './syscallFlags.ts';

export type RemapType = 'invalid' | 'noResize' | 'shrink' | 'expand';

export interface VmaRemap {
  readonly mm: MmPtr;
  readonly flags: number;

  /** What the caller gave, lengths rounded up. A failed move points addr and oldLen at what is to be unmapped instead. */
  addr: Vpn;
  oldLen: number;
  newLen: number;
  newAddr: Vpn;

  /** The VMA that contains addr, or 0; what is asked of it. */
  vma: VmaPtr;
  type: RemapType;
  /** |oldLen - newLen|. */
  delta: number;

  mmapLocked: boolean;
  /** The memory is locked and grows: fault the new part in afterwards. */
  populateExpand: boolean;
}

/** A request whose parameters were checked. */
export function initVrm(mm: MmPtr, addr: Vpn, oldLen: number, newLen: number, flags: number, newAddr: Vpn): VmaRemap {
  return {
    mm,
    flags,
    addr,
    oldLen,
    newLen,
    newAddr,
    vma: NO_VMA,
    type: 'invalid',
    delta: 0,
    mmapLocked: false,
    populateExpand: false,
  };
}

/** True if the request says or asks for a new address (vrm_implies_new_addr). */
export function vrmImpliesNewAddr(vrm: VmaRemap): boolean {
  return (vrm.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
}

/** Computes what is asked of the VMA from the two lengths. */
export function vrmSetType(vrm: VmaRemap): void {
  vrm.delta = Math.abs(vrm.oldLen - vrm.newLen);
  if (vrm.delta === 0) vrm.type = 'noResize';
  else vrm.type = vrm.oldLen > vrm.newLen ? 'shrink' : 'expand';
}
