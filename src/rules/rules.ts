/**
 * Every decision of the kernel's authors that the laboratory can turn back is one typed switch here. The simulated kernel
 * reads the rules; nothing else tells it about bugs. A kernel preset (presets.ts) is a complete set of values; a bug of the
 * catalogue is a few of them set to the wrong value.
 *
 * Each switch is described in RULE_DOCS, which `mmstorm rules` lists; a test holds the two against each other.
 */

export interface Rules {
  readonly anonVma: {
    /** Which lock guards an anon_vma: the root's rwsem (3.8+), or a spinlock in each anon_vma (2.6.34). */
    readonly lock: 'rootRwsem' | 'perAnonVmaSpinlock';
    /** Order in which anon_vma_clone copies the chain: 7.0 reverses it, 6.x keeps newest first. */
    readonly cloneOrder: 'reversed' | 'same';
    /** When fork may reuse an ancestor's anon_vma: split counters (6.0+), degree < 2 (3.19 .. 5.19), never. */
    readonly reuseTest: 'splitCounters' | 'degree' | 'never';
    /** Direction in which unlink_anon_vmas walks a VMA's chain. */
    readonly unlinkOrder: 'newestFirst' | 'oldestFirst';
  };
  readonly vmaAdjust: {
    /** What vma_adjust locks while vm_start, vm_end and vm_pgoff change. */
    readonly rmapLock: 'root' | 'vmaAnonVma' | 'none';
  };
  readonly splitVma: {
    /** When the new half becomes reachable by rmap walks. */
    readonly publish: 'bothUnderRootLock' | 'rangeShrunkBeforeAvcLinked';
  };
  readonly rmapWalk: {
    /** Which locks a walk takes (matters with per-anon_vma locks). */
    readonly lockScheme: 'rootOnly' | 'rootFirstOldToNew' | 'eachInListOrder';
  };
  readonly mmTakeAllLocks: {
    /** Order in which the anon_vmas of one VMA are locked. */
    readonly order: 'oldToNew' | 'newToOld';
  };
  readonly migrate: {
    /** Whether migration leaves exec's temporary stack alone. */
    readonly skipTemporaryStack: boolean;
  };
  readonly fork: {
    /** What fork does with a page that may be pinned. */
    readonly pinnedPage: 'copyForChild' | 'share';
  };
  readonly mremap: {
    /** When move_ptes takes the rmap locks. */
    readonly rmapLocks: 'byOrder' | 'always' | 'never';
    /** When the old range is flushed from the TLBs. */
    readonly flush: 'beforeUnlock' | 'afterUnlock';
    /** Whether MREMAP_FIXED moves several VMAs at once (6.17+). */
    readonly multiVma: boolean;
  };
  readonly munmap: {
    /** Whether munmap downgrades mmap_lock before it zaps. */
    readonly downgrade: boolean;
  };
  readonly rcuwait: {
    /** Whether a task that is about to sleep makes that visible before it looks at its condition. */
    readonly barrier: 'full' | 'none';
  };
  readonly fault: {
    /** Whether faults try the per-VMA lock first (6.4+). */
    readonly perVmaLock: boolean;
  };
  readonly madvise: {
    /** Whether MADV_DONTNEED and MADV_FREE try the per-VMA lock first (6.17+). */
    readonly perVmaLock: boolean;
  };
}

/** Documentation of one switch. */
export interface RuleDoc {
  /** `part.rule`, as `--set` takes it. */
  readonly rule: string;
  readonly values: readonly string[];
  readonly what: string;
  /** Kernel function or commit where the decision was taken. */
  readonly reference: string;
}

export const RULE_DOCS: readonly RuleDoc[] = [
  {
    rule: 'anonVma.lock',
    values: ['rootRwsem', 'perAnonVmaSpinlock'],
    what: 'which lock guards an anon_vma: the rwsem of the tree root, or a spinlock in each anon_vma',
    reference: '012f18004da3 (2.6.36, always and only the root); 5beb49305251 (2.6.34, one per anon_vma)',
  },
  {
    rule: 'anonVma.cloneOrder',
    values: ['reversed', 'same'],
    what: 'whether anon_vma_clone reverses the order of the copied chain',
    reference: 'anon_vma_clone() in mm/rmap.c: 7.0 walks forward and adds at the head, 6.x walks backward',
  },
  {
    rule: 'anonVma.reuseTest',
    values: ['splitCounters', 'degree', 'never'],
    what: 'when fork may reuse an anon_vma of the parent chain instead of allocating one',
    reference: '7a3ef208e662 (3.19, degree); 2555283eb40d (6.0, num_children and num_active_vmas)',
  },
  {
    rule: 'anonVma.unlinkOrder',
    values: ['newestFirst', 'oldestFirst'],
    what: 'direction in which unlink_anon_vmas walks the chain of a VMA',
    reference: 'unlink_anon_vmas() in mm/rmap.c; 2.6.34 walked oldest first',
  },
  {
    rule: 'vmaAdjust.rmapLock',
    values: ['root', 'vmaAnonVma', 'none'],
    what: 'what is locked while vm_start, vm_end and vm_pgoff of a linked VMA change',
    reference: 'vma_prepare() in mm/vma.c; 012f18004da3 restored the lock that 5beb49305251 had lost',
  },
  {
    rule: 'splitVma.publish',
    values: ['bothUnderRootLock', 'rangeShrunkBeforeAvcLinked'],
    what: 'whether a split links the new half before the old one shrinks, both under the root lock',
    reference: '__split_vma() in mm/vma.c; 012f18004da3',
  },
  {
    rule: 'rmapWalk.lockScheme',
    values: ['rootOnly', 'rootFirstOldToNew', 'eachInListOrder'],
    what: 'which anon_vma locks a walk takes: the root only, root then each older to newer, or each as it comes',
    reference: 'rmap_walk_anon() in mm/rmap.c; the May 2010 patch series on vma_adjust versus rmap_walk',
  },
  {
    rule: 'mmTakeAllLocks.order',
    values: ['oldToNew', 'newToOld'],
    what: 'order in which mm_take_all_locks locks the anon_vmas of one VMA (per-anon_vma locks)',
    reference: 'mm_take_all_locks() in mm/vma.c; the May 2010 patch reversed it',
  },
  {
    rule: 'migrate.skipTemporaryStack',
    values: ['true', 'false'],
    what: 'whether migration skips the stack that exec is still moving',
    reference: 'a8bef8ff6ea1 (2.6.35), invalid_migration_vma()',
  },
  {
    rule: 'fork.pinnedPage',
    values: ['copyForChild', 'share'],
    what: 'what fork does with an anonymous page that may be pinned',
    reference: '70e806e4e645 (5.9), 6c287605fd56 (5.19)',
  },
  {
    rule: 'mremap.rmapLocks',
    values: ['byOrder', 'always', 'never'],
    what: 'when moving page-table entries takes the rmap locks',
    reference: '38a76013ad80 (3.7), need_rmap_locks in copy_vma()',
  },
  {
    rule: 'mremap.flush',
    values: ['beforeUnlock', 'afterUnlock'],
    what: 'whether the old range is flushed before the page-table locks are dropped',
    reference: 'eb66ae030829 (4.19, CVE-2018-18281)',
  },
  {
    rule: 'mremap.multiVma',
    values: ['true', 'false'],
    what: 'whether MREMAP_FIXED without resize moves several VMAs',
    reference: 'mm/mremap.c, 6.17',
  },
  {
    rule: 'munmap.downgrade',
    values: ['true', 'false'],
    what: 'whether munmap downgrades mmap_lock to read before it zaps',
    reference: 'vms_complete_munmap_vmas() in mm/vma.c; 4.20',
  },
  {
    rule: 'rcuwait.barrier',
    values: ['full', 'none'],
    what: 'whether who is about to sleep makes that visible before it looks at its condition (matters with store buffers)',
    reference: 'set_current_state() in rcuwait_wait_event(); 6dc080eeb2ba (5.0) is the same barrier of the waker',
  },
  {
    rule: 'fault.perVmaLock',
    values: ['true', 'false'],
    what: 'whether faults try the per-VMA lock before mmap_lock',
    reference: '5e31275cc997 (6.4)',
  },
  {
    rule: 'madvise.perVmaLock',
    values: ['true', 'false'],
    what: 'whether MADV_DONTNEED and MADV_FREE of one mapping try the per-VMA lock before mmap_lock',
    reference: 'madvise_lock() and try_vma_read_lock() in mm/madvise.c, 6.17',
  },
];
