/** What the words of a memory are called, for reports: objects and fields instead of addresses. */

/** What a word is for: reports show the accesses to the important ones first. */
export type WordKind =
  /** State that others rely on: entries, pointers, flags. */
  | 'state'
  /** Which addresses an object stands for. */
  | 'range'
  /** Contents of pages. */
  | 'contents'
  /** Counts, statistics, links inside trees and lists. */
  | 'detail'
  /** Words of locks and wait queues. */
  | 'lock'
  /** Bookkeeping of the allocator, tasks and hardware. */
  | 'internal';

export interface WordPlace {
  /** The object: `vma#2`; empty if the word stands alone. */
  readonly object: string;
  /** What it is at this moment: `[16-18)`; empty if there is nothing to say. */
  readonly state: string;
  /** The field: `vm_start`, `pte of vpn 17`. */
  readonly field: string;
  readonly kind: WordKind;
}

/** What a change of a word means for a lock. */
export interface LockChange {
  readonly action: 'acquired' | 'released' | 'downgraded';
  readonly mode: 'read' | 'write' | '';
}

/** Names for the words of a memory, as it is now. */
export interface WordNames {
  place(at: number): WordPlace;
  /** A value of that word in words: `present pfn 9 writable`. */
  value(at: number, value: number): string;
  /** Name of the lock that begins at a word: `mm#1.mmap_lock`. */
  lock(at: number): string;
  /** Lock operation that a change of this word is, if it is one and no lock primitive tells its hook about it; or null. */
  lockChange(at: number, before: number, after: number): LockChange | null;
}

/** `vma#2 [16-18).vm_start`, `mm#1 pte of vpn 17`. */
export function placeName({ object, state, field }: WordPlace, withState = true): string {
  if (object === '') return field;
  const name = state === '' || !withState ? object : `${object} ${state}`;
  return field.includes(' ') ? `${name} ${field}` : `${name}.${field}`;
}

/** Names of single words, for memories that hold no machine. */
export function plainNames(words: Readonly<Record<string, number>>): WordNames {
  const names = new Map(Object.entries(words).map(([name, at]) => [at, name]));
  return {
    place: (at) => ({ object: '', state: '', field: names.get(at) ?? `word ${at}`, kind: 'state' }),
    value: (_at, value) => String(value),
    lock: (at) => names.get(at) ?? `word ${at}`,
    lockChange: () => null,
  };
}
