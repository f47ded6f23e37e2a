/** What the engine offers strategies and detectors: the access log, waits for a value, choices, daemons. */
import { describe, expect, it } from 'vitest';
import { cas, fetchAdd, load, readOnce, store, storeRelease, xchg } from '../../src/arena/access.ts';
import { assert } from '../../src/base/assert.ts';
import type { Access, Sim } from '../../src/base/sim.ts';
import { guardHook } from '../../src/cpu/hookGuard.ts';
import { allocationFails, cpuRelax, parkWhile, unpark } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore, replay, type Program } from '../../src/explore/explore.ts';
import type { AccessObserver } from '../../src/explore/observer.ts';
import { encodeSchedule } from '../../src/explore/schedule.ts';
import { ACCESS, L, LOG_ENTRY, S } from '../../src/instrument/runtime.ts';
import { explored } from '../support/simTest.ts';
import { X, Y, bareProgram, type BareThread, type BareWorld } from './bare.ts';

const KINDS = Object.keys(ACCESS);

/** Writes down every access as `task kind word=value`. */
class Scribe implements AccessObserver {
  lines: string[] = [];

  begin(): void {
    this.lines = [];
  }

  ran(task: number): void {
    for (let i = 0; i < L.used; i += LOG_ENTRY.words) {
      const [at, kind, value] = L.words.subarray(i, i + 3);
      this.lines.push(`${task} ${KINDS[kind]} ${at === X ? 'x' : 'y'}=${value}`);
    }
  }
}

function runOnce(program: Program<Task, BareWorld>, maxSteps = 100) {
  const scribe = new Scribe();
  const found = explore({ ...program, observers: [scribe], executions: 1, seed: 1, maxSteps });
  return { ...found, lines: scribe.lines };
}

describe.runIf(explored)('the access log', () => {
  it('holds what each step touched, in order, with its kind and value', () => {
    const thread = (task: Task): Sim<void> => {
      store(task.heap, X, 4);
      load(task.heap, X);
      readOnce(task.heap, Y);
      storeRelease(task.heap, Y, 7);
      cas(task.heap, X, 4, 5);
      cas(task.heap, X, 4, 6);
      fetchAdd(task.heap, X, 2);
      xchg(task.heap, Y, 1);
    };
    expect(runOnce(bareProgram([thread])).lines).toEqual([
      '0 write x=4',
      '0 read x=4',
      '0 readOnce y=0',
      '0 release y=7',
      '0 rmw x=5',
      '0 casFailed x=5',
      '0 rmw x=7',
      '0 rmw y=1',
    ]);
  });

  it('sleeping and waking are accesses of the futex word', () => {
    const sleeper = (task: Task): Sim<void> => parkWhile(task, X, 0);
    const waker = (task: Task): Sim<void> => {
      while (S.parked === 0) cpuRelax(task);
      unpark(task, X, 1);
    };
    const { lines } = runOnce(bareProgram([sleeper, waker]));
    expect(lines).toEqual(['0 park x=0', '1 wake x=1', '0 park x=0']);
  });

  it('holds nothing of the set-up, of the check at the end, and of detectors', () => {
    const hook = guardHook({
      look(task: Task): Access<number> {
        return load(task.heap, X);
      },
    });
    const thread = (task: Task): Sim<void> => {
      store(task.heap, Y, hook.look(task));
    };
    const check = (world: BareWorld): Sim<void> => {
      load(world.heap, X);
    };
    expect(runOnce(bareProgram([thread], check)).lines).toEqual(['0 write y=0']);
  });
});

describe.runIf(explored)('waiting', () => {
  it('a spin loop runs again only when a word it read was written', () => {
    let rounds = 0;
    const spinner = (task: Task): Sim<void> => {
      rounds = 1;
      while (load(task.heap, X) === 0) {
        rounds++;
        cpuRelax(task);
      }
    };
    const busy = (task: Task): Sim<void> => {
      for (let i = 0; i < 20; i++) store(task.heap, Y, i);
      store(task.heap, X, 1);
    };
    const check = (): Sim<void> => assert(rounds <= 2, 'the spinner ran for nothing');
    expect(explore({ ...bareProgram([spinner, busy], check), executions: 200 }).verdicts.done).toBe(200);
  });

  it('spinners that nobody serves are a livelock, not a deadlock', () => {
    const spinner = (task: Task): Sim<void> => {
      while (load(task.heap, X) === 0) cpuRelax(task);
    };
    const { firstFailure } = explore({ ...bareProgram([spinner, spinner]), executions: 1, maxSteps: 50 });
    expect(firstFailure?.verdict).toBe('livelock');
  });
});

describe.runIf(explored)('choices', () => {
  const failing = (outcomes: boolean[]): BareThread => {
    return (task: Task): Sim<void> => {
      const failures = { ...task, chooseFailures: true };
      for (let i = 0; i < 4; i++) outcomes.push(allocationFails(failures));
    };
  };

  it('are made by the strategy, recorded, and replayed', () => {
    const outcomes: boolean[] = [];
    const program = bareProgram([failing(outcomes)], (): Sim<void> => {
      assert(!outcomes.splice(0).includes(true), 'an allocation failed');
    });
    const { firstFailure } = explore({ ...program, executions: 500, seed: 4 });
    const { schedule } = firstFailure!;
    expect(schedule.picks.length).toBe(4);
    expect(encodeSchedule(schedule)).toMatch(/^2\.1\.a\d*\.[01]*1[01]*$/);
    expect(replay(program, schedule)).toMatchObject({ verdict: 'assertion', schedule, divergedAt: null });
  });

  it('nothing goes wrong under a strategy that picks nothing', () => {
    const outcomes: boolean[] = [];
    const strategy = {
      name: 'first',
      begin: () => true,
      choose: () => 0,
      end: () => undefined,
    };
    explore({ ...bareProgram([failing(outcomes)]), executions: 1, strategy });
    expect(outcomes).toEqual([false, false, false, false]);
  });
});

function withDaemon(threads: readonly BareThread[], daemon: BareThread): Program<Task, BareWorld> {
  return { ...bareProgram([...threads, daemon]), threads, daemons: [daemon] };
}

describe.runIf(explored)('daemons', () => {
  it('run among the threads and need not finish', () => {
    const daemon = (task: Task): Sim<void> => {
      while (true) {
        if (load(task.heap, X) === 1) store(task.heap, Y, 1);
        cpuRelax(task);
      }
    };
    const client = (task: Task): Sim<void> => {
      store(task.heap, X, 1);
      while (load(task.heap, Y) === 0) cpuRelax(task);
    };
    expect(explore({ ...withDaemon([client, client], daemon), executions: 100 }).verdicts.done).toBe(100);
  });

  it('a deadlock of the threads is one although a daemon lives', () => {
    const sleeper = (task: Task): Sim<void> => parkWhile(task, X, 0);
    const daemon = (task: Task): Sim<void> => parkWhile(task, Y, 0);
    const { firstFailure } = explore({ ...withDaemon([sleeper], daemon), executions: 1 });
    expect(firstFailure?.violations[0].title).toBe('hung: 1 task sleeps for ever, and nobody is left to wake it');
  });
});
