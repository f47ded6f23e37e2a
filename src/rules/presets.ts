/** Kernel presets: complete sets of rules. The newest is the default, in which nothing may be found. */

import type { Rules } from './rules.ts';

export const LINUX_7_0: Rules = {
  anonVma: { lock: 'rootRwsem', cloneOrder: 'reversed', reuseTest: 'splitCounters', unlinkOrder: 'newestFirst' },
  vmaAdjust: { rmapLock: 'root' },
  splitVma: { publish: 'bothUnderRootLock' },
  rmapWalk: { lockScheme: 'rootOnly' },
  mmTakeAllLocks: { order: 'oldToNew' },
  migrate: { skipTemporaryStack: true },
  fork: { pinnedPage: 'copyForChild' },
  mremap: { rmapLocks: 'byOrder', flush: 'beforeUnlock', multiVma: true },
  munmap: { downgrade: true },
  rcuwait: { barrier: 'full' },
  fault: { perVmaLock: true },
  madvise: { perVmaLock: true },
};

const LINUX_6_18: Rules = { ...LINUX_7_0, anonVma: { ...LINUX_7_0.anonVma, cloneOrder: 'same' } };

const LINUX_2_6_34_RC: Rules = {
  anonVma: { lock: 'perAnonVmaSpinlock', cloneOrder: 'same', reuseTest: 'never', unlinkOrder: 'oldestFirst' },
  vmaAdjust: { rmapLock: 'none' },
  splitVma: { publish: 'rangeShrunkBeforeAvcLinked' },
  rmapWalk: { lockScheme: 'eachInListOrder' },
  mmTakeAllLocks: { order: 'newToOld' },
  migrate: { skipTemporaryStack: false },
  fork: { pinnedPage: 'share' },
  mremap: { rmapLocks: 'never', flush: 'afterUnlock', multiVma: false },
  munmap: { downgrade: false },
  rcuwait: { barrier: 'full' },
  fault: { perVmaLock: false },
  madvise: { perVmaLock: false },
};

export interface KernelPreset {
  readonly name: string;
  readonly what: string;
  readonly rules: Rules;
}

export const KERNELS: readonly KernelPreset[] = [
  { name: 'linux-7.0', what: 'Linux 7.0, the newest: nothing may be found here', rules: LINUX_7_0 },
  { name: 'linux-6.18', what: 'Linux 6.18, the kernel the conformance traces were recorded on', rules: LINUX_6_18 },
  {
    name: 'linux-2.6.34-rc',
    what: 'the release candidates of May 2010: a spinlock in each anon_vma, vma_adjust unlocked, no skip of temporary stacks',
    rules: LINUX_2_6_34_RC,
  },
];

export const DEFAULT_KERNEL = 'linux-7.0';
