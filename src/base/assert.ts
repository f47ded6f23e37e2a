/**
 * Assertions. They state what must hold in our own code; a simulated kernel error is a negative errno and a bug that
 * the laboratory looks for is a Finding, never an AssertionError.
 */

/** Our own bug (or an arena corrupted by a bug under study): caught once in the harness, reported, never swallowed. */
export class AssertionError extends Error {
  override name = 'AssertionError';
}

/** Throws unless `condition` holds. `message` is a constant: a built string would cost 2 ns on every call. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For messages that need values: `if (!ok) fail(...)` builds the string only on the failing path. */
export function fail(message: string): never {
  throw new AssertionError(message);
}

/** Closes a switch over a union: does not compile when a case is missing. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected value ${String(value)}`);
}
