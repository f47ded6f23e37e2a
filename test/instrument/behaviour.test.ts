/** Rewritten code does what the source does: same accesses in the same order, same values, wherever it yields. */
import { afterAll, describe, expect, it } from 'vitest';
import { P } from '../../src/instrument/runtime.ts';
import { EXPRESSIONS, FUNCTIONS, STATEMENTS } from './cases.ts';
import { Project, runExplored, runPlain, runTogether } from './harness.ts';

const project = new Project();
afterAll(() => project.remove());

describe.each([
  { group: 'expressions', cases: EXPRESSIONS },
  { group: 'statements', cases: STATEMENTS },
  { group: 'functions', cases: FUNCTIONS },
])('$group', ({ cases }) => {
  it.each(cases)('explored: $name', ({ code }) => {
    const plain = runPlain(code);
    const rewritten = project.rewrite('case.ts', code, 'explored')!;
    expect(plain.log.length).toBeGreaterThan(0);
    for (const budget of [0, 1, 2, 5, 1e9]) expect(runExplored(rewritten.code, budget)).toEqual(plain);
  });

  it.each(cases)('perturbed: $name', ({ code }) => {
    const plain = runPlain(code);
    const rewritten = project.rewrite('case.ts', code, 'perturbed')!;
    P.configure(1, 0);
    expect(runPlain(rewritten.code)).toEqual(plain);
  });

  it.each(cases.filter(({ name }) => name !== 'an exception leaves'))('three at once: $name', ({ code }) => {
    const plain = runPlain(code);
    const rewritten = project.rewrite('case.ts', code, 'explored')!;
    expect(runTogether(rewritten.code, 3)).toEqual([plain, plain, plain]);
  });
});
