/**
 * The table of a struct's words: what dumps print and what the layout tests check (no overlap, nothing outside).
 */

/** Layout of one struct. `fields` maps a field's name to its first word; `words` is the struct's size. */
export interface FieldTable {
  readonly name: string;
  readonly words: number;
  readonly fields: Readonly<Record<string, number>>;
}

/** Declares a struct's layout. @throws RangeError when a field lies outside the struct or two share a first word */
export function fieldTable(name: string, fields: Readonly<Record<string, number>>, words: number): FieldTable {
  const taken = new Set<number>();
  for (const [field, at] of Object.entries(fields)) {
    if (at < 0 || at >= words) throw new RangeError(`${name}.${field} lies outside the struct`);
    if (taken.has(at)) throw new RangeError(`${name}.${field} shares its word with another field`);
    taken.add(at);
  }
  return { name, words, fields };
}
