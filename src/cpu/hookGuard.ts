/**
 * Detectors look at shared memory without being part of the program. On threads their looks cost nothing and count for
 * nothing; the explored build has a twin, hookGuard.explored.ts, which keeps them out of the access log.
 */

/** The hook as a task may call it. */
export function guardHook<Hook extends object>(hook: Hook): Hook {
  return hook;
}
