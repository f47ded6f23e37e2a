import { defineConfig, type Plugin } from 'vitest/config';
import { loadInstrument } from './scripts/lib/instrument.mjs';

/** Tests of simulated code: run on the source as it is and again on the explored build. */
const SIM_TESTS = ['test/**/*.sim.test.ts'];
/** Tests that run what the build made: the command line, the worker bundles. */
const BUILT_TESTS = ['test/cli/**/*.test.ts', 'test/**/*.built.test.ts'];

const root = import.meta.dirname;
const instrument = await loadInstrument(root);

export default defineConfig({
  test: {
    maxWorkers: 2,
    testTimeout: 60_000, // a busy machine is slow; only a hang takes as long
    hookTimeout: 30_000,
    reporters: [['default', { summary: false }]],
    projects: [
      {
        extends: true,
        test: {
          name: 'threads',
          include: ['test/**/*.test.ts'],
          exclude: BUILT_TESTS,
          globalSetup: 'test/support/buildTestWorkers.ts',
        },
      },
      {
        extends: true,
        plugins: [instrument({ mode: 'explored', root }) as Plugin],
        test: { name: 'explored', include: SIM_TESTS },
      },
      {
        extends: true,
        test: {
          name: 'built',
          include: BUILT_TESTS,
          globalSetup: 'test/support/buildDist.ts',
        },
      },
    ],
  },
});
