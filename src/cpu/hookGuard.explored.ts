/**
 * The twin of hookGuard.ts in the explored build: nothing that a detector reads or writes is logged as an access of the
 * task that called it.
 */

import { L, LOG_MODE } from '../instrument/runtime.ts';

type Method = (...args: unknown[]) => unknown;

const guarded = new WeakMap<object, object>();

/** The hook with every method silent in the access log; the same one for the same hook. */
export function guardHook<Hook extends object>(hook: Hook): Hook {
  let guard = guarded.get(hook);
  if (guard === undefined) {
    guard = Object.fromEntries(methodsOf(hook).map(([name, method]) => [name, silent(hook, method)]));
    guarded.set(hook, guard);
  }
  return guard as Hook;
}

function methodsOf(hook: object): [string, Method][] {
  const methods = new Map<string, Method>();
  for (let from: object = hook; from !== Object.prototype; from = Object.getPrototypeOf(from) as object) {
    for (const name of Object.getOwnPropertyNames(from)) {
      const value = (hook as Record<string, unknown>)[name];
      if (typeof value === 'function' && name !== 'constructor') methods.set(name, value as Method);
    }
  }
  return [...methods];
}

/** No hook takes more than seven arguments; naming them is faster than a rest parameter. */
function silent(hook: object, method: Method): Method {
  return (a, b, c, d, e, f, g) => {
    const { mode } = L;
    L.mode = LOG_MODE.off;
    try {
      return method.call(hook, a, b, c, d, e, f, g);
    } finally {
      L.mode = mode;
    }
  };
}
