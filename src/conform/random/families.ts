/** What the random cases of each family are made of (format, section 10). */

/** What a draw can become; several draws make one operation in different ways. */
export type DrawKind =
  | 'mmapFixed'
  | 'mmap'
  | 'mmapHint'
  | 'mmapShared'
  | 'mmapLocked'
  | 'mmapHuge'
  | 'munmap'
  | 'mprotect'
  | 'move'
  | 'moveHome'
  | 'resize'
  | 'moveAnywhere'
  | 'dontUnmap'
  | 'write'
  | 'read'
  | 'fork'
  | 'exit'
  | 'pin'
  | 'unpin'
  | 'migrate'
  | 'madvise'
  | 'mergeable'
  | 'mlock'
  | 'mlock2'
  | 'munlock'
  | 'mseal'
  | 'ksm';

export interface Family {
  readonly name: string;
  readonly weights: Readonly<Partial<Record<DrawKind, number>>>;
  /** Pages of the region that draws stay in, so that mappings meet. */
  readonly region: number;
  /** Longest range drawn. */
  readonly maxPages: number;
  /** Share of the draws with an operand that is misaligned, empty or far too large. */
  readonly odd: number;
  readonly minSteps: number;
  readonly maxSteps: number;
  /** Largest memlock limit drawn; absent: no limit. */
  readonly memlock?: number;
}

type Weights = Family['weights'];

const TOUCH: Weights = { write: 8, read: 3 };
const MAP: Weights = { mmapFixed: 4, mmap: 2, mmapHint: 1, munmap: 1 };
const MOVE: Weights = { move: 4, moveHome: 2, resize: 2, moveAnywhere: 1, dontUnmap: 1 };
const LOCK: Weights = { mlock: 5, mlock2: 3, munlock: 3, mmapLocked: 2 };

function family(name: string, weights: Weights, rest: Partial<Family> = {}): Family {
  return { name, weights, region: 24, maxPages: 8, odd: 0.02, minSteps: 10, maxSteps: 30, ...rest };
}

export const FAMILIES: readonly Family[] = [
  family(
    'mremap-errno',
    { ...MAP, ...MOVE, write: 4, mlock: 1, mseal: 1, fork: 1, mmapShared: 1 },
    { odd: 0.35, memlock: 8 },
  ),
  family('mremap-move', {
    ...MAP,
    ...MOVE,
    ...TOUCH,
    move: 8,
    mprotect: 2,
    migrate: 1,
    fork: 1,
    mseal: 1,
    mmapShared: 1,
  }),
  family('mremap-grow-shrink', {
    ...MAP,
    ...TOUCH,
    resize: 9,
    moveAnywhere: 3,
    mprotect: 1,
    fork: 1,
    mlock: 1,
    mmapShared: 1,
  }),
  family('dontunmap', {
    ...MAP,
    ...TOUCH,
    dontUnmap: 6,
    move: 2,
    mprotect: 1,
    fork: 1,
    migrate: 1,
    mlock: 1,
    madvise: 1,
    exit: 1,
  }),
  family('split-merge', {
    ...MAP,
    mmapFixed: 8,
    munmap: 5,
    mprotect: 6,
    write: 4,
    move: 2,
    resize: 1,
    madvise: 3,
    mseal: 1,
    mlock: 1,
  }),
  family('mprotect', { ...MAP, ...TOUCH, mprotect: 12, fork: 1, move: 1, madvise: 1, mlock: 1, mseal: 1, exit: 1 }),
  family('fork-cow', {
    ...MAP,
    ...TOUCH,
    write: 14,
    fork: 3,
    exit: 2,
    mprotect: 2,
    madvise: 2,
    migrate: 1,
    move: 1,
    mmapShared: 1,
  }),
  family('fork-tree', {
    ...TOUCH,
    mmapFixed: 2,
    write: 16,
    fork: 6,
    exit: 4,
    move: 1,
    migrate: 1,
    mprotect: 1,
    munmap: 1,
  }),
  family('anonvma-merge', {
    ...MAP,
    mmapFixed: 6,
    write: 9,
    mprotect: 5,
    ...MOVE,
    fork: 1,
    exit: 1,
    migrate: 1,
    madvise: 1,
  }),
  family('madvise', { ...MAP, ...TOUCH, madvise: 12, fork: 2, exit: 1, mprotect: 1, mlock: 1, mmapShared: 1 }),
  family('mlock', { ...MAP, ...TOUCH, ...LOCK, resize: 2, move: 1, mprotect: 2, madvise: 1, fork: 1 }, { memlock: 16 }),
  family('pin-fork', {
    ...MAP,
    ...TOUCH,
    write: 12,
    pin: 6,
    unpin: 2,
    fork: 4,
    exit: 1,
    move: 1,
    mprotect: 1,
    migrate: 1,
    madvise: 1,
  }),
  family('migrate', {
    ...MAP,
    ...TOUCH,
    migrate: 9,
    fork: 2,
    exit: 1,
    pin: 1,
    unpin: 1,
    move: 2,
    mprotect: 1,
    mlock: 1,
    madvise: 1,
  }),
  family('ksm', { ...MAP, write: 12, read: 1, mergeable: 4, ksm: 6, fork: 1, move: 1, migrate: 1, pin: 1, exit: 1 }),
  family(
    'hugetlb',
    {
      mmapHuge: 5,
      write: 6,
      read: 2,
      munmap: 1,
      mprotect: 1,
      move: 2,
      resize: 1,
      fork: 1,
      exit: 1,
      madvise: 1,
      migrate: 1,
    },
    { region: 4096, maxPages: 1024 },
  ),
  family(
    'mixed-random',
    {
      ...MAP,
      ...MOVE,
      ...TOUCH,
      ...LOCK,
      mprotect: 4,
      fork: 2,
      exit: 1,
      pin: 1,
      unpin: 1,
      migrate: 1,
      madvise: 3,
      mergeable: 1,
      mseal: 1,
      ksm: 1,
      mmapShared: 2,
    },
    { maxSteps: 64, odd: 0.05 },
  ),
];

/** Only what the plain model of address spaces knows, in a small space: for the comparison with that model. */
export const MODELLED: Family = family(
  'address-spaces',
  { ...MAP, ...MOVE, ...TOUCH, mprotect: 4, fork: 2, exit: 1, pin: 1, unpin: 1, migrate: 2 },
  { odd: 0, maxSteps: 40 },
);
