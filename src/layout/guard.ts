/**
 * What guards a field, as data. Each struct's file has a table beside its field table; the explored build holds every access
 * against it (src/detect/lockGuards.ts), the layout tests hold it against the fields.
 *
 * A guard is a lock as seen from the object: the mmap lock of its mm, its own lock. A demand is a list of alternatives,
 * each a list of guards that must all be held. A field without an entry is guarded by nothing: it is atomic, constant, or
 * a lock's own word.
 *
 * Marked reads are lockless on purpose and read-modify-writes need nobody: neither is asked for a guard. Nor is who works on an
 * object that nobody else has touched since it was allocated.
 */

/** A lock as seen from an object. A hold for write is one for read. */
export type Guard =
  | 'mmap read'
  | 'mmap write'
  | 'any mmap'
  | 'VMA read'
  | 'VMA write'
  /** The VMA is out of the tree and its readers have left: it belongs to who detached it. */
  | 'VMA detached'
  /** The root's rwsem of the anon_vma tree, and of a mapping of an object its i_mmap_rwsem: both for write, either for read. */
  | 'rmap read'
  | 'rmap write'
  /** The rwsem of the object that a VMA maps, or that a tree of VMAs belongs to. */
  | 'i_mmap read'
  | 'i_mmap write'
  /** The anon_vma has lost its last VMA: it belongs to who took that away. */
  | 'empty tree'
  | 'page_table_lock'
  | 'own lock'
  | 'folio lock'
  /** The last reference to the page, the mm or the object is gone: it belongs to who dropped it. */
  | 'no reference'
  | 'mm_all_locks_mutex'
  | 'RCU';

export type Demand = readonly (readonly Guard[])[];

export interface FieldGuard {
  /** Plain reads; absent: anybody may. */
  readonly read?: Demand;
  /** Writes, marked ones too, that are no read-modify-writes; absent: anybody may; empty: only before the object is published. */
  readonly write?: Demand;
  /** Lockless lookups touch the field even when the object was freed or recycled meanwhile. */
  readonly lockless?: true;
}

/** Guards of a struct's fields, by name. */
export type GuardTable<Fields> = Readonly<Partial<Record<keyof Fields & string, FieldGuard>>>;

/** Set while the object is built, then constant. */
export const BEFORE_PUBLICATION: Demand = [];
