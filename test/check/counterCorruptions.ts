/** Ways in which the counters of the forged world's address space are broken by hand. */

import { MM } from '../../src/layout/mm.ts';
import { VMA, VM_LOCKED, VM_LOCKONFAULT } from '../../src/layout/vma.ts';
import type { Corruption } from './corruptions.ts';

export const COUNTER_CORRUPTIONS: readonly Corruption[] = [
  {
    what: 'total_vm and data_vm are off',
    corrupt: (w) => {
      w.heap[w.mm + MM.totalVm]--;
      w.heap[w.mm + MM.dataVm]++;
    },
    kind: 'count-mismatch',
    signatures: ['total_vm differs from the VMAs', 'data_vm differs from the VMAs'],
  },
  {
    what: 'memory was locked and not counted',
    corrupt: (w) => (w.heap[w.vma + VMA.flags] |= VM_LOCKED),
    kind: 'count-mismatch',
    signatures: ['locked_vm differs from the VMAs'],
  },
  {
    what: 'memory is to be locked on fault, but is not locked',
    corrupt: (w) => (w.heap[w.vma + VMA.flags] |= VM_LOCKONFAULT),
    kind: 'vma-tree',
    signatures: ['VM_LOCKONFAULT without VM_LOCKED'],
  },
];
