/**
 * The two markers by which the instrumenting pass knows the simulated kernel's functions. Both are transparent to the
 * type checker: the source is ordinary synchronous TypeScript.
 */

/** Result of a function that may be preempted. In the explored build such a function is a generator. */
export type Sim<T> = T;

/**
 * Result of one shared-memory access, or of one step that is atomic for the scheduler. Stays a plain function in every
 * build; the pass puts a scheduling point behind each call made from a `Sim` function.
 */
export type Access<T> = T;
