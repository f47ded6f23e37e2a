/** The random strategy is uniform at every point, although it draws whole runs. */
import { describe, expect, it } from 'vitest';
import { randomStrategy } from '../../src/explore/randomStrategy.ts';
import { ASKED, SchedulerView, countTasks, nthTask } from '../../src/explore/strategy.ts';

const POINTS = 20;

/** The task of each point of one execution in which `tasks` tasks never finish. */
function sample(seed: number, execution: number, tasks: number): number[] {
  const strategy = randomStrategy(seed);
  const view = new SchedulerView();
  view.tasks = tasks;
  view.runnable = 2 ** tasks - 1;
  strategy.begin(execution, view);
  const chosen: number[] = [];
  while (chosen.length < POINTS) {
    const task = strategy.choose(view);
    for (let i = 0; i <= view.budget && chosen.length < POINTS; i++) chosen.push(task);
    view.current = task;
    view.reason = ASKED.point;
  }
  return chosen;
}

describe('random', () => {
  it.each([2, 3, 5])('%i tasks: each is as likely as any other at every point, whoever ran before', (tasks) => {
    const samples = 6000;
    const same = new Array<number>(POINTS).fill(0);
    const first = new Array<number>(POINTS).fill(0);
    for (let i = 0; i < samples; i++) {
      const chosen = sample(11, i, tasks);
      chosen.forEach((task, at) => {
        if (task === 0) first[at]++;
        if (at > 0 && task === chosen[at - 1]) same[at]++;
      });
    }
    // Six standard deviations: the seed is fixed, and a biased strategy is off by far more.
    const tolerance = 6 * Math.sqrt((samples * (1 / tasks) * (1 - 1 / tasks)) / 1);
    for (const count of [...first, ...same.slice(1)]) expect(Math.abs(count - samples / tasks)).toBeLessThan(tolerance);
  });

  it('a hundred thousand executions of two tasks hardly ever repeat', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 100_000; i++) seen.add(sample(1, i, 2).join(''));
    // 2^20 schedules of 20 points: a fair draw of 100,000 sees about 95,350 different ones.
    expect(seen.size).toBeGreaterThan(95_000);
    expect(seen.size).toBeLessThan(95_700);
  });

  it('an execution is the same when it is drawn alone', () => {
    expect(sample(5, 77, 3)).toEqual(sample(5, 77, 3));
    expect(sample(5, 77, 3)).not.toEqual(sample(5, 78, 3));
    expect(sample(6, 77, 3)).not.toEqual(sample(5, 77, 3));
  });

  it('sets of tasks', () => {
    expect(countTasks(0b1011)).toBe(3);
    expect([0, 1, 2].map((index) => nthTask(0b1011, index))).toEqual([0, 1, 3]);
    expect(countTasks(2 ** 31 - 1)).toBe(31);
    expect(nthTask(2 ** 31 - 1, 30)).toBe(30);
  });
});
