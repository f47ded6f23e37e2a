/** `mmstorm bench` on one quick case: a figure, a ratio, a document. */
import { expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';

it('measures the cases asked for, each beside the raw floor', () => {
  const { status, stdout } = runMmstorm(['bench', 'spinlock pair', '--time', '40', '-q', '--json'], {
    timeoutMs: 50_000,
  });
  expect(status).toBe(0);
  const document = JSON.parse(stdout) as { cases: { name: string; minNs: number; ratio: number; floorNs: number }[] };
  expect(document.cases.map(({ name }) => name)).toEqual(['spinlock pair', 'spinlock pair with lockdep']);
  for (const figure of document.cases) {
    expect(figure.minNs).toBeGreaterThan(0);
    expect(figure.floorNs).toBeGreaterThan(0);
    expect(figure.ratio).toBeGreaterThan(0);
  }
});

it('says so when nothing matches', () => {
  expect(runMmstorm(['bench', 'no such case']).status).toBe(4);
});
