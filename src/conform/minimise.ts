/** Fewer steps that show the same: drops runs of steps, long ones first, as long as what is left still fails. */

import type { Action } from './traceFormat.ts';

/**
 * The shortest sequence found. `stillFails` decides; it is asked about sequences in which every step has a living process
 * and children count up from 1. `mayGoOn` ends the search early.
 */
export async function minimiseSteps(
  actions: readonly Action[],
  stillFails: (actions: readonly Action[]) => Promise<boolean> | boolean,
  mayGoOn: () => boolean,
): Promise<readonly Action[]> {
  let best = actions;
  for (let chunk = Math.ceil(best.length / 2); chunk >= 1;) {
    let dropped = false;
    for (let start = best.length - chunk; start > -chunk && mayGoOn(); start -= chunk) {
      const from = Math.max(start, 0);
      const candidate = renumber([...best.slice(0, from), ...best.slice(start + chunk)]);
      if (candidate.length === 0 || candidate.length >= best.length || !(await stillFails(candidate))) continue;
      best = candidate;
      dropped = true;
    }
    if (!mayGoOn()) return best;
    if (!dropped || chunk > 1) chunk = chunk === 1 ? 0 : Math.ceil(chunk / 2);
  }
  return best;
}

/** Without the steps of processes that no longer exist and of pins that are no longer taken; children by their new numbers. */
export function renumber(actions: readonly Action[]): Action[] {
  const numbers = new Map([[0, 0]]);
  const pins = new Set<string>();
  let created = 1;
  const kept: Action[] = [];
  for (const action of actions) {
    if (action.op === 'ksm') {
      kept.push(action);
      continue;
    }
    const p = numbers.get(action.p);
    if (p === undefined) continue;
    if (action.op === 'unpin' && !pins.delete(`${p} ${action.id}`)) continue;
    if (action.op === 'pin') pins.add(`${p} ${action.id}`);
    if (action.op === 'exit') numbers.delete(action.p);
    if (action.op === 'fork') {
      numbers.set(action.child, created);
      kept.push({ ...action, p, child: created++ });
    } else kept.push({ ...action, p });
  }
  return kept;
}
