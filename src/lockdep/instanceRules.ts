/** The acquire of a lock inside others of its class, whatever its annotation says: see instanceOrder.ts. */

import { className, instanceLine, lockLine, placeTrace } from './describe.ts';
import { heldLocks, type HeldLock } from './heldStack.ts';
import { learnInstances, type InstanceEdge } from './instanceOrder.ts';
import type { LockdepReport } from './report.ts';
import { callerFunctions } from './trace.ts';
import { reportOnce, wantedLine, withSection, type Acquire, type LazyTrace, type Validator } from './validator.ts';

/** Learns the order of the instances; reports a cycle, or the very lock that the task holds already. */
export function checkInstances(
  validator: Validator,
  acquire: Acquire,
  place: number,
  trace: LazyTrace,
): LockdepReport | null {
  const { section, identity } = validator;
  const { task, lock, cls, mode } = acquire;
  // A trylock does not wait, a recursive reader does not wait for readers and nests by design.
  if (mode.trylock || mode.read === 2) return null;
  const same = heldLocks(section, task.ptr).find((held) => held.lock === lock);
  return withSection(section, () => {
    if (same !== undefined) return reportSame(validator, acquire, same, trace);
    const cycle = learnInstances(section, identity, { task: task.ptr, lock, cls, place });
    return cycle === null ? null : reportCycle(validator, acquire, cycle, trace);
  });
}

function reportSame(validator: Validator, acquire: Acquire, held: HeldLock, trace: LazyTrace): LockdepReport | null {
  const { task, cls, mode } = acquire;
  // The signature of the class rule: where that one speaks, this one need not.
  const names = [className(validator, held.cls, held.subclass), className(validator, cls, mode.subclass)];
  return reportOnce(validator, task, 'recursive', names, trace, (stack) => ({
    lock: wantedLine(validator, acquire, stack),
    other: lockLine(validator, held),
    detail: 'the same lock',
  }));
}

function reportCycle(
  validator: Validator,
  acquire: Acquire,
  cycle: readonly InstanceEdge[],
  trace: LazyTrace,
): LockdepReport | null {
  const { section } = validator;
  const { task, cls } = acquire;
  const [closing] = cycle;
  const held = heldLocks(section, task.ptr).find(({ lock }) => lock === closing.lockA);
  // One class may be nested by several pairs of functions, each a bug of its own.
  const takers = callerFunctions(cycle.map(({ placeB }) => placeTrace(validator, placeB)));
  const about = [className(validator, cls, 0), ...takers];
  return reportOnce(validator, task, 'instance-order', about, trace, (stack) => ({
    lock: wantedLine(validator, acquire, stack),
    ...(held !== undefined && { other: lockLine(validator, held) }),
    cycle: cycle.map((edge, i) => ({
      ...instanceLine(validator, cls, edge),
      ...(i === 0 && { trace: stack }),
    })),
  }));
}
