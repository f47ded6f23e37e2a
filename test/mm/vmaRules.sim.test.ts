/** Without others about, every historical variant of the VMA side leads to the same mappings and the same contents. */
import { KERNELS, LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { scriptTest } from './vmaScript.ts';

const SCRIPT = `
  map 0 8 rw nr
  write 0 abcdefgh
  protect 2 2 r             see 0 ww|rr|wwww
  protect 4 2 r             see 0 ww|rrrr|ww
  protect 2 4 rw            see 0 wwwwwwww data 0 abcdefgh
  unmap 3 2                 see 0 www..www
  move 5 2 20               see 0 www....w see 20 ww data 20 fg
  move 20 2 5               see 0 www..www data 0 abc..fgh
  map 3 2 rw nr             see 0 wwwwwwww data 0 abc__fgh
  remap 0 8 6 - = 0         see 0 wwwwww..
  remap 0 6 7 - = 0         see 0 wwwwwww.
  fork
  write 0 x                 data 0 xbc__f_
  protect 0 1 r             see 0 r|wwwwww.
  protect 0 1 rw            see 0 wwwwwww.
  fork
  unmap 1 1                 see 0 w.wwwww.
  keep 2 3 30               see 30 www data 30 c__
  map 0 8 n                 see 0 nnnnnnnn
`;

const vmaAdjust = (rmapLock: Rules['vmaAdjust']['rmapLock']): Rules => ({ ...LINUX_7_0, vmaAdjust: { rmapLock } });
const spinlocks: Rules = {
  ...LINUX_7_0,
  anonVma: { lock: 'perAnonVmaSpinlock', cloneOrder: 'same', reuseTest: 'never', unlinkOrder: 'oldestFirst' },
  rmapWalk: { lockScheme: 'eachInListOrder' },
};

const VARIANTS: Readonly<Record<string, Rules>> = {
  ...Object.fromEntries(KERNELS.map(({ name, rules }) => [name, rules])),
  'vma_adjust without a lock': vmaAdjust('none'),
  'vma_adjust with the lock of the VMA': vmaAdjust('vmaAnonVma'),
  'split that links late': { ...LINUX_7_0, splitVma: { publish: 'rangeShrunkBeforeAvcLinked' } },
  'munmap under the write lock': { ...LINUX_7_0, munmap: { downgrade: false } },
  'faults under the mmap lock': { ...LINUX_7_0, fault: { perVmaLock: false } },
  spinlocks,
  'spinlocks, vma_adjust with the lock of the VMA': { ...spinlocks, vmaAdjust: { rmapLock: 'vmaAnonVma' } },
};

/** What a lone task provokes all the same: a flush after the unlock is late for everybody, a lock not taken is missing. */
const UNLOCKED_RANGE = 'the range of a VMA written without the anon_vma lock for write';
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  'linux-2.6.34-rc': [UNLOCKED_RANGE, 'TLB entry of a moved page'],
  'vma_adjust without a lock': [UNLOCKED_RANGE],
  'vma_adjust with the lock of the VMA': [UNLOCKED_RANGE],
};

for (const [name, rules] of Object.entries(VARIANTS)) scriptTest(name, SCRIPT, { rules, expected: EXPECTED[name] });
