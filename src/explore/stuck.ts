/** What the explorer itself finds: nobody can run, nobody gets anywhere, somebody threw. */

import { AssertionError } from '../base/assert.ts';
import type { Violation } from '../base/finding.ts';
import { S, parkedWord } from '../instrument/runtime.ts';
import type { WaitDescription, World } from './world.ts';

/** Every live task sleeps. @param live a bit per task that has not finished */
export function describeDeadlock<T>(world: World<T>, live: number, steps: number): Violation {
  const waits = describeWaits(world, live);
  const classes = waits.map(({ signature }) => signature).sort();
  return {
    kind: 'deadlock',
    title: `deadlock: ${waits.length} ${waits.length === 1 ? 'task sleeps' : 'tasks sleep'} for ever`,
    signature: `deadlock ${classes.join(' ')}`,
    evidence: [...waits.map(({ text }) => text), `after ${steps} steps`],
  };
}

/** The step limit was reached. */
export function describeLivelock<T>(world: World<T>, live: number, steps: number): Violation {
  const waits = describeWaits(world, live & S.parked);
  const running = tasksOf(live & ~S.parked).map((task) => `task ${task + 1} runs`);
  return {
    kind: 'livelock',
    title: `no end after ${steps} steps: the tasks keep running without getting anywhere`,
    signature: 'livelock',
    evidence: [...running, ...waits.map(({ text }) => text)],
  };
}

/** Something was thrown: one of our assertions, or anything else. @param who a task, or the check at the end */
export function describeThrown(error: unknown, who: string): Violation {
  const isAssertion = error instanceof AssertionError;
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 12) : [];
  return {
    kind: isAssertion ? 'assertion' : 'crash',
    title: isAssertion ? `assertion failed: ${message}` : `${who} threw: ${message}`,
    signature: isAssertion ? message : `thrown ${message}`,
    evidence: [`in ${who}`, ...stack.map((line) => line.trim())],
  };
}

function describeWaits<T>(world: World<T>, tasks: number): WaitDescription[] {
  return tasksOf(tasks).map((task) => {
    const word = parkedWord(task);
    return world.describeWait?.(task, word) ?? { text: `task ${task + 1} sleeps on word ${word}`, signature: 'a word' };
  });
}

function tasksOf(set: number): number[] {
  const tasks: number[] = [];
  for (let rest = set; rest !== 0; rest &= rest - 1) tasks.push(31 - Math.clz32(rest & -rest));
  return tasks;
}
