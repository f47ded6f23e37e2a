import { describe, expect, it } from 'vitest';
import { minimiseSteps, renumber } from '../../src/conform/minimise.ts';
import type { Action } from '../../src/conform/traceFormat.ts';

const write = (p: number, value = 0): Action => ({ op: 'write', p, page: 1, value });
const fork = (p: number, child: number): Action => ({ op: 'fork', p, child });
const always = (): boolean => true;

describe('renumber', () => {
  it('children count up from 1 when an earlier one is gone, and its steps go with it', () => {
    const steps = [write(1), fork(0, 2), write(2), { op: 'exit', p: 2 } as const, write(2), write(0)];
    expect(renumber(steps)).toEqual([fork(0, 1), write(1), { op: 'exit', p: 1 }, write(0)]);
  });

  it('a pin that is no longer taken is not dropped, nor one of another process', () => {
    const steps: Action[] = [{ op: 'unpin', p: 0, id: 4 }, fork(0, 1), { op: 'unpin', p: 1, id: 4 }, { op: 'ksm' }];
    expect(renumber(steps)).toEqual([fork(0, 1), { op: 'ksm' }]);
  });
});

describe('minimiseSteps', () => {
  it('finds the steps that matter, wherever they are', async () => {
    const steps = Array.from({ length: 50 }, (_, i) => write(0, i));
    const needs = [3, 17, 49];
    let asked = 0;
    const stillFails = (candidate: readonly Action[]): boolean => {
      asked++;
      return needs.every((value) => candidate.some((action) => action.op === 'write' && action.value === value));
    };
    expect(await minimiseSteps(steps, stillFails, always)).toEqual(needs.map((value) => write(0, value)));
    expect(asked).toBeLessThan(120);
  });

  it('keeps the fork that a step needs', async () => {
    const steps = [write(0), fork(0, 1), write(1, 1), fork(0, 2), write(0), write(2, 9), write(1)];
    const stillFails = (candidate: readonly Action[]): boolean =>
      candidate.some((action) => action.op === 'write' && action.value === 9);
    expect(await minimiseSteps(steps, stillFails, always)).toEqual([fork(0, 1), write(1, 9)]);
  });

  it('ends when it may not go on', async () => {
    const steps = [write(0), write(0)];
    expect(await minimiseSteps(steps, always, () => false)).toBe(steps);
  });
});
