/**
 * What a CPU knows of its own words in shared memory. A page of a shared object shows the same word wherever it is mapped, so it
 * is known by a number, its id, and not by process and address: the shadow model keeps the id where it keeps the value of
 * private memory (0: not known which page this is).
 *
 * Only this CPU writes these words, one after the other. So it knows what each page must hold now, and since no value is
 * written twice, the value found at a place tells which page is mapped there. A value that no page holds any more was
 * overwritten: whoever reads it is looking at a page that should be gone.
 */

/** Marks values of shared memory; the rest of a value counts up. */
const SHARED_TAG = 0x4000_0000;
/** Pages that are remembered; of the others nothing is known. */
const MAX_PAGES = 65_536;

export interface SharedValues {
  /** Value of each page's own word, longest unwritten first; and the page that holds a value. */
  readonly valueOf: Map<number, number>;
  readonly pageOf: Map<number, number>;
  written: number;
  nextId: number;
  /** Some page was forgotten, so an unknown value proves nothing any more. */
  forgetful: boolean;
}

export function createSharedValues(): SharedValues {
  return { valueOf: new Map(), pageOf: new Map(), written: 0, nextId: 1, forgetful: false };
}

/** A value that was never written before. */
export function nextSharedValue(shared: SharedValues): number {
  return SHARED_TAG | ++shared.written;
}

/** The page `id` (0: one not met before) holds `value` from now on. @returns its id */
export function noteSharedWrite(shared: SharedValues, id: number, value: number): number {
  const page = id === 0 ? shared.nextId++ : id;
  forget(shared, page);
  shared.valueOf.set(page, value);
  shared.pageOf.set(value, page);
  if (shared.valueOf.size > MAX_PAGES) {
    for (const oldest of shared.valueOf.keys()) {
      forget(shared, oldest);
      break;
    }
    shared.forgetful = true;
  }
  return page;
}

/** What is seen at a place: `id` of the page there now, and whether that cannot be. */
export function judgeShared(shared: SharedValues, id: number, seen: number): { id: number; isWrong: boolean } {
  if (id !== 0) {
    const expected = shared.valueOf.get(id);
    return { id, isWrong: expected !== undefined && expected !== seen };
  }
  if (seen === 0) return { id, isWrong: false };
  const found = shared.pageOf.get(seen);
  return { id: found ?? 0, isWrong: found === undefined && !shared.forgetful };
}

function forget(shared: SharedValues, page: number): void {
  const value = shared.valueOf.get(page);
  if (value === undefined) return;
  shared.pageOf.delete(value);
  shared.valueOf.delete(page);
}
