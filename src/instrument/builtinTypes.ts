/** Global types, and those of other packages: plain, unless they hold functions of ours. */

import { PLAIN_SHAPE, UNKNOWN_SHAPE, isMarked, type Kind, type Shape, type Ty } from './ty.ts';

interface Evaluator {
  shape(ty: Ty): Shape;
  kind(ty: Ty): Kind;
}

const LISTS = new Set(['Array', 'ReadonlyArray', 'Iterable', 'IterableIterator', 'Generator', 'Iterator']);
const SAME = new Set(['Readonly', 'Required', 'Partial', 'NonNullable', 'NoInfer']);
/** Type operators whose result cannot be followed. */
const OPERATORS = new Set([
  'ReturnType',
  'Parameters',
  'Extract',
  'Exclude',
  'Pick',
  'Omit',
  'Awaited',
  'Function',
  'InstanceType',
]);

/** What the global type `name` comes to with these arguments. `name` is empty for a type of another package. */
export function builtinShape(name: string, args: readonly Ty[], types: Evaluator): Shape {
  if (LISTS.has(name) && args.length > 0) return { s: 'list', element: args[0], byName: false };
  if (SAME.has(name) && args.length === 1) return types.shape(args[0]);
  if (name === 'Record' && args.length === 2) return { s: 'list', element: args[1], byName: true };
  if (OPERATORS.has(name)) return UNKNOWN_SHAPE;
  return args.some((arg) => isMarked(types.kind(arg))) ? { s: 'container' } : PLAIN_SHAPE;
}

/** A generator, for the methods of its kind. */
function* generate(): Generator<never> {}

const PROTOTYPES = [
  Array.prototype,
  Atomics,
  Function.prototype,
  Int32Array.prototype,
  Object.getPrototypeOf(Int32Array.prototype) as object,
  Map.prototype,
  Number.prototype,
  Object.prototype,
  Promise.prototype,
  RegExp.prototype,
  Set.prototype,
  String.prototype,
  Object.getPrototypeOf(generate.prototype) as object,
];

const BUILTIN_NAMES: ReadonlySet<string> = new Set(
  PROTOTYPES.flatMap((prototype) => Object.getOwnPropertyNames(prototype)).filter((name) => name !== 'constructor'),
);

/** True for the methods of built-in objects: `x.name()` would be taken for a call of ours. */
export function isBuiltinMethod(name: string): boolean {
  return BUILTIN_NAMES.has(name);
}
