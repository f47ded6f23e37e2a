/** The main thread's side of a run, with workers that misbehave: it never waits without a limit and never loses the report. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { StressDocument } from '../../src/report/stressDocument.ts';
import { DEFAULT_KERNEL, LINUX_7_0 } from '../../src/rules/presets.ts';
import { defaultMix } from '../../stress/mix.ts';
import { runStress } from '../../stress/run/runStress.ts';

const folder = mkdtempSync(join(tmpdir(), 'mmstorm-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a second of stress with a worker of the given source. */
async function runWith(name: string, source: string): Promise<StressDocument> {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, source);
  return runStress(
    {
      kernel: DEFAULT_KERNEL,
      rules: LINUX_7_0,
      bug: undefined,
      seed: 1,
      workers: 2,
      processes: 1,
      durationMs: 20_000,
      ops: Infinity,
      mix: defaultMix(),
      input: undefined,
      lockdep: false,
      checks: false,
      failAlloc: 0,
      perturb: 0,
      hungMs: 500,
      reproduce: 'mmstorm stress --seed 1',
    },
    { worker: pathToFileURL(file), onProgress: () => {}, signal: new AbortController().signal },
  );
}

/** A worker that says it runs operation 1 and then goes on as `body`. The task words are found by the arena's header. */
const BUSY = (body: string): string => `
export default ({ buffer, id }) => {
  const words = new Int32Array(buffer);
  const task = words[8] + (id - 1) * words[19];
  words[task + 14] = 1;
  ${body}
};`;

test('a thread that dies: crash', async () => {
  const document = await runWith('dies', 'export default () => process.exit(3);');
  expect(document.findings.map(({ kind }) => kind)).toContain('crash');
});

test('a thread that throws what is no Error: crash', async () => {
  const document = await runWith('throws', 'export default () => { throw 17; };');
  expect(document.findings.map(({ kind }) => kind)).toEqual(['crash']);
});

test('threads that never come back: livelock, and the command ends', async () => {
  const document = await runWith('loops', BUSY('for (;;);'));
  expect(document.findings.map(({ kind }) => kind)).toEqual(['livelock']);
  expect(document.findings[0].evidence).toContain('CPU 1: read, running');
});

test('threads that sleep for ever on a lock: hung', async () => {
  const document = await runWith(
    'sleeps',
    BUSY('words[task + 6] = 40; words[task + 7] = 1; Atomics.wait(words, 3, words[3]);'),
  );
  expect(document.findings.map(({ kind }) => kind)).toEqual(['hung']);
  expect(document.findings[0].title).toContain('&mm->mmap_lock');
});
