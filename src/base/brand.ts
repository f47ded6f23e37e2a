/**
 * Branded numbers: a page frame number is not a virtual page number is not a pointer, although all are numbers in
 * an Int32Array. The brand exists for the type checker only.
 */

declare const brand: unique symbol;

/** `T` that cannot be mixed up with other `T`s. Only layout accessors and the documented constructors cast. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
