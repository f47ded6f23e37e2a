/** The operations a stress run issues, their codes (index), default weights and what each does. */

export interface OperationDoc {
  readonly name: string;
  /** Relative weight in the default mix. */
  readonly weight: number;
  readonly what: string;
}

export const OPERATIONS = [
  { name: 'read', weight: 20, what: 'read a word of user memory and compare it with the shadow model' },
  { name: 'write', weight: 26, what: 'write a word of user memory' },
  { name: 'mmap', weight: 6, what: 'map anonymous private memory over a range' },
  { name: 'munmap', weight: 5, what: 'unmap a range' },
  { name: 'mprotect', weight: 7, what: 'change the protection of a range' },
  { name: 'mremap', weight: 7, what: 'grow, shrink or move a mapping' },
  { name: 'fork', weight: 3, what: 'fork a process' },
  { name: 'exit', weight: 3, what: 'end a process' },
  { name: 'migrate', weight: 6, what: 'migrate the pages of a range' },
  { name: 'pin', weight: 3, what: 'pin pages for writing, let a device write to them, compare' },
  { name: 'unpin', weight: 3, what: 'drop pins' },
  { name: 'exec', weight: 3, what: 'start a process with a temporary stack that exec moves' },
  { name: 'compact', weight: 4, what: 'kernel thread: migrate movable pages of a range of frames' },
  { name: 'reclaim', weight: 3, what: 'kernel thread: look for recently used pages of a range of frames' },
  { name: 'shared-access', weight: 10, what: 'read or write a word of shared memory, or pin a page of it' },
  { name: 'shared-map', weight: 6, what: 'map, unmap, protect, move or duplicate shared memory' },
  { name: 'madvise', weight: 4, what: 'advise on a range: fork, merging, read-ahead, or fault pages in' },
  { name: 'dontneed', weight: 3, what: 'zero a range by MADV_DONTNEED' },
  { name: 'free', weight: 4, what: 'give the contents of a range up by MADV_FREE' },
  { name: 'mlock', weight: 4, what: 'lock or unlock a range in memory' },
  { name: 'mseal', weight: 3, what: 'seal a fresh mapping and try to change it' },
  { name: 'hugetlb', weight: 4, what: 'map, use, move or migrate huge pages of a small pool' },
  { name: 'ksm', weight: 3, what: 'kernel thread: merge pages of equal contents, a few in each turn' },
  { name: 'mergeable', weight: 4, what: 'give pages equal contents and allow KSM to merge them, or forbid it' },
  { name: 'take-all-locks', weight: 3, what: 'take every lock of an mm, as an MMU notifier does' },
] as const satisfies readonly OperationDoc[];

export type OperationName = (typeof OPERATIONS)[number]['name'];

/** Code of an operation: its index. */
export const OP = Object.fromEntries(OPERATIONS.map(({ name }, code) => [name, code])) as Readonly<
  Record<OperationName, number>
>;

export const OPERATION_NAMES: readonly OperationName[] = OPERATIONS.map(({ name }) => name);
