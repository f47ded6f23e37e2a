/** Refusals of input that is not a trace, and the checks of single values that raise them. */

/** What is wrong with which field of one line. The reader of the file adds file and line. */
export class Malformed extends Error {
  override name = 'Malformed';
  constructor(field: string, reason: string) {
    super(field === '' ? reason : `${field}: ${reason}`);
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** `value` as an object with no keys but the known ones. @throws Malformed */
export function objectOf(value: unknown, field: string, known: readonly string[]): JsonObject {
  const object = anyObject(value, field);
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) throw new Malformed(child(field, key), 'unknown key');
  }
  return object;
}

/** `value` as an object, whatever its keys. @throws Malformed */
export function anyObject(value: unknown, field: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Malformed(field, `expected an object, not ${shown(value)}`);
  }
  return value as JsonObject;
}

/** @throws Malformed */
export function arrayOf(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Malformed(field, `expected an array, not ${shown(value)}`);
  return value;
}

/** An array with exactly as many items as one of `lengths`. @throws Malformed */
export function tupleOf(value: unknown, field: string, ...lengths: number[]): readonly unknown[] {
  const items = arrayOf(value, field);
  if (!lengths.includes(items.length)) {
    throw new Malformed(field, `expected ${lengths.join(' or ')} items, not ${items.length}`);
  }
  return items;
}

/** A whole number in [low, high]. @throws Malformed */
export function integerOf(value: unknown, field: string, low: number, high: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high) {
    throw new Malformed(field, `expected a whole number from ${low} to ${high}, not ${shown(value)}`);
  }
  return value;
}

/** A string that is not empty. @throws Malformed */
export function textOf(value: unknown, field: string): string {
  if (typeof value !== 'string' || value === '') throw new Malformed(field, `expected text, not ${shown(value)}`);
  return value;
}

/** One of the known names. @throws Malformed */
export function nameOf<Name extends string>(value: unknown, field: string, known: readonly Name[]): Name {
  if (!known.includes(value as Name)) {
    throw new Malformed(field, `expected one of ${known.join(', ')}, not ${shown(value)}`);
  }
  return value as Name;
}

/** Distinct known names; absent means none. @throws Malformed */
export function namesOf<Name extends string>(value: unknown, field: string, known: readonly Name[]): readonly Name[] {
  if (value === undefined) return [];
  const names = arrayOf(value, field).map((item, i) => nameOf(item, `${field}[${i}]`, known));
  if (new Set(names).size !== names.length) throw new Malformed(field, 'a name is given twice');
  return names;
}

/** Path of a member: `steps[3].d` and `va` make `steps[3].d.va`. */
export function child(field: string, key: string): string {
  return field === '' ? key : `${field}.${key}`;
}

/** A value as a message shows it: short, on one line. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
