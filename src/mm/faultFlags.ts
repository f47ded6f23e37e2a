/** What a fault handler is asked for and what it answers (include/linux/mm_types.h), and what the user gets to see. */

/** FAULT_FLAG_*: how the page was touched. */
export const FAULT_FLAG_WRITE = 1 << 0;
/** Make the page exclusive, leave it read-only (a read-only pin wants it). */
export const FAULT_FLAG_UNSHARE = 1 << 1;
/** Only the VMA is locked, not mmapLock. */
export const FAULT_FLAG_VMA_LOCK = 1 << 2;

/** VM_FAULT_*: 0 means done, or somebody else did it: the access is tried again. */
export const VM_FAULT_OOM = 1 << 0;
export const VM_FAULT_SIGBUS = 1 << 1;
/** The VMA lock does not suffice and was dropped: again with mmapLock. */
export const VM_FAULT_RETRY = 1 << 2;

/** Outcome of a user access that failed; none of them is an errno. */
export const SEGV_MAPERR = -201;
export const SEGV_ACCERR = -202;
export const BUS_ADRERR = -203;
export const FAULT_OOM = -204;
