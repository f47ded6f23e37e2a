/**
 * The lock classes of the simulated kernel: the unit of lockdep's reasoning. A lock instance carries its class in one
 * of its words. Names are the kernel's own, so that reports read like the kernel's.
 */

import type { LockClassId } from './ids.ts';

/** What a lock allows inside (facts of lockdep's wait types): spinning locks forbid sleeping ones. */
export type WaitType = 'spin' | 'sleep';
export type LockFamily = 'spinlock' | 'rwsem' | 'mutex' | 'seqcount' | 'vma' | 'folio' | 'rcu';

export interface LockClass {
  readonly name: string;
  readonly family: LockFamily;
  readonly wait: WaitType;
  /** Where the kernel declares the lock. */
  readonly source: string;
  /**
   * Rank in the documented hierarchy, outermost smallest; locks of equal rank have no documented order.
   * From the comment at the top of mm/rmap.c and Documentation/mm/process_addrs.rst.
   */
  readonly rank: number;
}

function lockClass(name: string, family: LockFamily, wait: WaitType, source: string, rank: number): LockClass {
  return { name, family, wait, source, rank };
}

/** Row 0 is no class: a lock that lockdep does not track. */
export const LOCK_CLASSES: readonly LockClass[] = [
  lockClass('(untracked)', 'spinlock', 'spin', '', 0),
  lockClass('&mm->mmap_lock', 'rwsem', 'sleep', 'include/linux/mm_types.h', 10),
  lockClass('mm_all_locks_mutex', 'mutex', 'sleep', 'mm/vma.c', 15),
  lockClass('vm_lock', 'vma', 'sleep', 'include/linux/mm_types.h', 30),
  lockClass('&anon_vma->rwsem', 'rwsem', 'sleep', 'include/linux/rmap.h', 40),
  lockClass('&anon_vma->lock', 'spinlock', 'spin', 'include/linux/rmap.h (2.6.34)', 40),
  lockClass('&mm->page_table_lock', 'spinlock', 'spin', 'include/linux/mm_types.h', 50),
  lockClass('ptlock_ptr(pmd)', 'spinlock', 'spin', 'include/linux/mm.h', 51),
  lockClass('ptlock_ptr(pte)', 'spinlock', 'spin', 'include/linux/mm.h', 52),
  lockClass('&folio_wait_table[i]', 'spinlock', 'spin', 'mm/filemap.c', 60),
  lockClass('test_spin', 'spinlock', 'spin', 'test', 90),
  lockClass('test_mutex', 'mutex', 'sleep', 'test', 20),
  lockClass('test_rwsem', 'rwsem', 'sleep', 'test', 20),
  // Known to the watchdog only: lockdep tracks neither.
  lockClass('PG_locked', 'folio', 'sleep', 'include/linux/pagemap.h', 25),
  lockClass('rcu_read_lock', 'rcu', 'spin', 'include/linux/rcupdate.h', 0),
  lockClass('&mapping->i_mmap_rwsem', 'rwsem', 'sleep', 'include/linux/fs.h', 35),
  lockClass('&xa->xa_lock', 'spinlock', 'spin', 'include/linux/xarray.h', 60),
  lockClass('hugetlb_fault_mutex_table[i]', 'mutex', 'sleep', 'mm/hugetlb.c', 32),
  lockClass('&vma_lock->rw_sema', 'rwsem', 'sleep', 'include/linux/hugetlb.h', 33),
  lockClass('hugetlbfs_i_mmap_rwsem_key', 'rwsem', 'sleep', 'fs/hugetlbfs/inode.c', 34),
  lockClass('hugetlb_lock', 'spinlock', 'spin', 'mm/hugetlb.c', 60),
  lockClass('ksm_thread_mutex', 'mutex', 'sleep', 'mm/ksm.c', 5),
  lockClass('ksm_mmlist_lock', 'spinlock', 'spin', 'mm/ksm.c', 60),
];

function id(row: number): LockClassId {
  return row as LockClassId;
}

export const CLASS_NONE = id(0);
export const CLASS_MMAP_LOCK = id(1);
export const CLASS_MM_ALL_LOCKS_MUTEX = id(2);
export const CLASS_VM_LOCK = id(3);
export const CLASS_ANON_VMA_RWSEM = id(4);
export const CLASS_ANON_VMA_SPIN = id(5);
export const CLASS_PAGE_TABLE_LOCK = id(6);
export const CLASS_PMD_LOCK = id(7);
export const CLASS_PTE_LOCK = id(8);
export const CLASS_FOLIO_WAIT_TABLE = id(9);
export const CLASS_TEST_SPIN = id(10);
export const CLASS_TEST_MUTEX = id(11);
export const CLASS_TEST_RWSEM = id(12);
export const CLASS_FOLIO_LOCK = id(13);
export const CLASS_RCU = id(14);
export const CLASS_I_MMAP_RWSEM = id(15);
export const CLASS_XA_LOCK = id(16);
export const CLASS_HUGETLB_FAULT_MUTEX = id(17);
export const CLASS_HUGETLB_VMA_LOCK = id(18);
export const CLASS_HUGETLBFS_I_MMAP = id(19);
export const CLASS_HUGETLB_LOCK = id(20);
export const CLASS_KSM_THREAD_MUTEX = id(21);
export const CLASS_KSM_MMLIST_LOCK = id(22);
