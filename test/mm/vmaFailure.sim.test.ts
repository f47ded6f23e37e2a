/**
 * Every allocation of every call fails once. What must be left is written down for each: what was asked for is not done, splits
 * stay, and what was unmapped before the failure stays unmapped. Detectors then look at the whole machine, and at the end
 * nothing may be left over.
 */
import { describe, expect } from 'vitest';
import { errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';
import { drawPages, drawVmas, runScript, runStep } from './vmaScript.ts';

interface Row {
  readonly what: string;
  readonly before: string;
  readonly step: string;
  /** Where the pictures begin, and how many pages they have; a second place for moves. */
  readonly at: readonly [number, number, number?];
  /** Outcome when the n-th allocation fails: result and pictures. */
  readonly fails: readonly string[];
  readonly succeeds: string;
}

const ROWS: readonly Row[] = [
  {
    what: 'a new mapping',
    before: 'map 0 2 r',
    step: 'map 4 2 rw',
    at: [0, 6],
    fails: [],
    succeeds: '',
  },
];

function outcome(box: Sandbox, { at: [first, nr, second] }: Row, result: number): Sim<string> {
  const words = [
    result < 0 ? errnoName(result) : 'ok',
    drawVmas(box.heap, box.mm, first, nr),
    drawPages(box, first, nr),
  ];
  if (second !== undefined) words.push(drawVmas(box.heap, box.mm, second, nr), drawPages(box, second, nr));
  return words.join(' ');
}

for (const row of ROWS) {
  describe(row.what, () => {
    for (const [n, expected] of [...row.fails, row.succeeds].entries()) {
      mmTest(n < row.fails.length ? `allocation ${n + 1} fails` : 'no allocation fails', (box: Sandbox): Sim<void> => {
        runScript(box, row.before);
        const task = failingTask(box.task, n);
        const result = runStep({ ...box, task }, row.step.split(' '));
        expect(outcome(box, row, result)).toBe(expected);
        expect(task.injectedFailures).toBe(n < row.fails.length ? 1 : 0);
      });
    }
  });
}
