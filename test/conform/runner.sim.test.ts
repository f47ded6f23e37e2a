import { describe, expect, it } from 'vitest';
import { conform } from '../../src/conform/conform.ts';
import { brokenDivergence, divergenceText } from '../../src/conform/divergence.ts';
import { findTraceFiles } from '../../src/conform/inputFiles.ts';
import { createProgress } from '../../src/conform/runCase.ts';
import { createRunner } from '../../src/conform/runner.ts';
import { readTraceFile } from '../../src/conform/traceFile.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import { DIVERGENT, TRACES } from './fixtures.ts';

const files = findTraceFiles([TRACES]);

function run(kernel: string) {
  const runner = createRunner(kernelPreset(kernel).rules);
  return conform({ files, runnerFor: () => runner, caseId: null, observer: {} });
}

describe('conformance', () => {
  it.each(['linux-6.18', 'linux-7.0'])('every trace that can be run agrees (%s)', async (kernel) => {
    const { totals, divergences } = await run(kernel);
    expect(divergences.map(divergenceText)).toEqual([]);
    expect(totals).toMatchObject({ cases: 158, failed: 0 });
    expect(totals.passed).toBeGreaterThanOrEqual(118);
  });

  it('2.6.34 parts from 6.18 where it must: moves of several mappings, forks of pinned pages', async () => {
    const { divergences } = await run('linux-2.6.34-rc');
    const kinds = new Set(divergences.map(({ op, aspect }) => `${op} ${aspect}`));
    expect([...kinds].sort()).toEqual(['fork pages', 'mremap result']);
  });

  it('a run that the simulated kernel cannot finish is a divergence at its step', async () => {
    for await (const trace of readTraceFile(findTraceFiles([DIVERGENT])[0])) {
      const divergence = brokenDivergence(trace, { ...createProgress(), step: 1 }, 'rmap: negative mapcount');
      expect(divergence).toMatchObject({ case: trace.id, step: 1, op: 'write', actual: 'rmap: negative mapcount' });
      break;
    }
  });
});
