/**
 * What the explorer itself finds: nobody can run, nobody gets anywhere, somebody threw.
 *
 * Nobody can run, told apart by why:
 *   deadlock        tasks wait for each other in a circle; who else waits, waits behind them
 *   lost wake-up    a word is no longer what a task slept on: what it waits for has happened, and nobody woke it
 *   hung            tasks sleep on something else than locks, and nobody is left who could wake them
 */

import { AssertionError } from '../base/assert.ts';
import type { Violation } from '../base/finding.ts';
import { S, parkedValue, parkedWord } from '../instrument/runtime.ts';
import type { SchedulerView } from './strategy.ts';
import type { WaitDescription, World } from './world.ts';

/** Tasks of an execution, as bits, by what has become of them. */
export interface StuckTasks {
  /** Have not finished. */
  readonly live: number;
  /** Have waited in a spin loop since they wrote last. */
  readonly spinning: number;
}

interface Wait extends WaitDescription {
  readonly task: number;
}

/** Every live task sleeps. */
export function describeDeadlock<T>(world: World<T>, view: SchedulerView, { live }: StuckTasks): Violation {
  const waits = tasksOf(live).map((task) => describeWait(world, view, task));
  const circle = findCircle(waits);
  const evidence = [...waits.map(({ text }) => text), `after ${view.steps} steps`];
  if (circle.length > 0) {
    const names = circle.map(({ task }) => task + 1).sort((a, b) => a - b);
    const title =
      names.length === 1 ? `task ${names[0]} waits for itself` : `tasks ${listOf(names)} wait for each other`;
    return { kind: 'deadlock', title: `deadlock: ${title}`, signature: signatureOf('deadlock', circle), evidence };
  }
  const missed = waits.filter(({ task }) => isMissed(world, task));
  if (missed.length > 0) {
    const title = `lost wake-up: the word that ${countOf(missed)} on has changed, and nobody woke ${missed.length === 1 ? 'it' : 'them'}`;
    const changes = missed.map(({ task }) => {
      const word = parkedWord(task);
      return `task ${task + 1} fell asleep while word ${word} was ${parkedValue(task)}; it is ${world.heap[word]}`;
    });
    return { kind: 'hung', title, signature: signatureOf('lost wake-up', missed), evidence: [...changes, ...evidence] };
  }
  // A lock does not name all of its readers: who waits for one may well be part of a circle.
  const kind = waits.some(({ lock }) => lock === true) ? 'deadlock' : 'hung';
  const title = `${kind}: ${countOf(waits)} for ever, and nobody is left to wake ${waits.length === 1 ? 'it' : 'them'}`;
  return { kind, title, signature: signatureOf(kind, waits), evidence };
}

/** The step limit was reached. */
export function describeLivelock<T>(world: World<T>, view: SchedulerView, tasks: StuckTasks): Violation {
  const { live, spinning } = tasks;
  const asleep = live & (S.parked | view.awaiting) & ~view.runnable;
  const running = tasksOf(live & ~asleep).map((task) => {
    return (spinning & (1 << task)) === 0 ? `task ${task + 1} runs` : `task ${task + 1} spins`;
  });
  const isSpinning = running.length > 0 && (live & ~asleep & ~spinning) === 0;
  return {
    kind: 'livelock',
    title: `no end after ${view.steps} steps: ${
      isSpinning ? 'all that run spin, waiting for what nobody does' : 'the tasks keep running without getting anywhere'
    }`,
    signature: isSpinning ? 'livelock of spinning tasks' : 'livelock',
    evidence: [...running, ...tasksOf(asleep).map((task) => describeWait(world, view, task).text)],
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

function describeWait<T>(world: World<T>, view: SchedulerView, task: number): Wait {
  if ((view.awaiting & (1 << task)) !== 0) return describeAwait(world, view, task);
  const word = parkedWord(task);
  const described = world.describeWait?.(task, word) ?? { text: `sleeps on word ${word}`, signature: 'a word' };
  return { ...described, text: withHolders(`task ${task + 1} ${described.text}`, described.holders), task };
}

/** A task that waits for a lock in one word (wordLock.ts): the word names who has it alone. */
function describeAwait<T>(world: World<T>, view: SchedulerView, task: number): Wait {
  const { at } = view.awaited[task];
  const value = world.heap[at];
  const holders = value < 0 ? [-1 - value] : [];
  const text = `task ${task + 1} waits for the lock at word ${at}${value > 0 ? `, shared by ${value}` : ''}`;
  return { task, text: withHolders(text, holders), signature: 'a word', holders, lock: true };
}

function withHolders(text: string, holders: readonly number[] = []): string {
  return holders.length === 0 ? text : `${text}, held by task ${listOf(holders.map((holder) => holder + 1))}`;
}

/** Waits that form a circle; none if there is none. */
function findCircle(waits: readonly Wait[]): Wait[] {
  for (const start of waits) {
    const path: Wait[] = [];
    let wait: Wait | undefined = start;
    while (wait !== undefined && !path.includes(wait)) {
      path.push(wait);
      const [holder]: readonly number[] = wait.holders ?? [];
      wait = waits.find(({ task }) => task === holder);
    }
    if (wait !== undefined) return path.slice(path.indexOf(wait));
  }
  return [];
}

function isMissed<T>(world: World<T>, task: number): boolean {
  return (S.parked & (1 << task)) !== 0 && world.heap[parkedWord(task)] !== parkedValue(task);
}

function signatureOf(what: string, waits: readonly Wait[]): string {
  return `${what} ${waits
    .map(({ signature }) => signature)
    .sort()
    .join(' ')}`;
}

function countOf(waits: readonly Wait[]): string {
  return waits.length === 1 ? '1 task sleeps' : `${waits.length} tasks sleep`;
}

function listOf(numbers: readonly number[]): string {
  return numbers.length < 2 ? numbers.join() : `${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1)}`;
}

function tasksOf(set: number): number[] {
  const tasks: number[] = [];
  for (let rest = set; rest !== 0; rest &= rest - 1) tasks.push(31 - Math.clz32(rest & -rest));
  return tasks;
}
