/** Whatever happens to a trace file: it is refused with file, line and reason, or it is run; nothing else. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/base/usageError.ts';
import { conform } from '../../src/conform/conform.ts';
import { createRunner } from '../../src/conform/runner.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import { TRACES } from './fixtures.ts';

const RUNS = 400;
const TIMEOUT_MS = 120_000;
const SEED = 20_260_801;
const folder = mkdtempSync(join(tmpdir(), 'mmstorm-damaged-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FAMILIES = ['anonvma-merge', 'fork-cow', 'pin-fork', 'mremap-errno', 'migrate', 'ksm', 'hugetlb'];
/** A header and one case of each family. */
const ORIGINALS = FAMILIES.map((family) => {
  const [header, ...cases] = readFileSync(join(TRACES, `${family}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n');
  return { header, case: cases.sort((a, b) => a.length - b.length)[0] };
});
const { rules } = kernelPreset('linux-6.18');
const runner = createRunner(rules);

/** Runs the file; returns what it was refused with, or null. @throws Error for anything that is neither */
async function refusalOf(bytes: Uint8Array): Promise<string | null> {
  const file = join(folder, 'damaged.jsonl');
  writeFileSync(file, bytes);
  try {
    await conform({ files: [file], runnerFor: () => runner, caseId: null, observer: {} });
    return null;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { message } = error;
    expect(message.startsWith(`${file}:`)).toBe(true);
    expect(message.slice(file.length)).toMatch(/^:[1-9]\d*: [^\n]+$/);
    expect(message.length).toBeLessThan(file.length + 400);
    return message;
  }
}

const arbitraryOriginal = fc.constantFrom(...ORIGINALS);
const arbitraryBytes = fc.record({
  original: arbitraryOriginal,
  cuts: fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      drop: fc.nat(6),
      insert: fc.uint8Array({ maxLength: 4 }),
    }),
    {
      minLength: 1,
      maxLength: 3,
    },
  ),
});

/** Values that stand where another was. */
const arbitraryValue = fc.oneof(
  fc.constantFrom<unknown>(null, true, -1, 0, 1, 3, 0.5, 255, 4095, 4096, 1e300, '', '0+1', '@ffffffffffffffff', '@0'),
  fc.constantFrom<unknown>(
    'ENOMEM',
    'segv_maperr',
    'fixed',
    'rw',
    'none',
    [],
    {},
    [0],
    ['fixed'],
    [[0, 1, 0, 1, 'x', 0]],
  ),
  fc.constantFrom('mmap', 'munmap', 'mprotect', 'mremap', 'read', 'write', 'fork', 'exit', 'pin', 'unpin', 'migrate'),
);
const arbitraryEdit = fc.record({ path: fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), value: arbitraryValue });

/** Replaces the value that a path of indexes into keys leads to. */
function edit(node: unknown, [index, ...rest]: readonly number[], value: unknown): void {
  const object = node as Record<string, unknown>;
  const keys = Object.keys(object);
  const key = keys[index % Math.max(keys.length, 1)];
  if (key === undefined) return;
  const child = object[key];
  if (rest.length > 0 && typeof child === 'object' && child !== null) edit(child, rest, value);
  else object[key] = structuredClone(value);
}

describe('damaged traces', () => {
  it(
    `bytes lost and added (${RUNS} runs)`,
    async () => {
      let refused = 0;
      const property = fc.asyncProperty(arbitraryBytes, async ({ original, cuts }) => {
        let bytes = Buffer.from(`${original.header}\n${original.case}\n`);
        for (const { at, drop, insert } of cuts) {
          const place = Math.floor(at * bytes.length);
          bytes = Buffer.concat([bytes.subarray(0, place), insert, bytes.subarray(place + drop)]);
        }
        if ((await refusalOf(bytes)) !== null) refused++;
      });
      await fc.assert(property, { seed: SEED, numRuns: RUNS });
      expect(refused).toBeGreaterThan(RUNS / 2);
    },
    TIMEOUT_MS,
  );

  it(
    `files cut anywhere (${RUNS} runs)`,
    async () => {
      const property = fc.asyncProperty(arbitraryOriginal, fc.nat(), async (original, cut) => {
        const bytes = Buffer.from(`${original.header}\n${original.case}`);
        const place = cut % bytes.length;
        const message = await refusalOf(bytes.subarray(0, place));
        // A header alone, with or without its line end, is a file without cases.
        const isHeader = place === original.header.length || place === original.header.length + 1;
        expect(message === null).toBe(isHeader);
      });
      await fc.assert(property, { seed: SEED, numRuns: RUNS });
    },
    TIMEOUT_MS,
  );

  it(
    `values replaced (${RUNS} runs)`,
    async () => {
      const outcomes = { run: 0, refused: 0 };
      const edits = fc.array(arbitraryEdit, { minLength: 1, maxLength: 2 });
      const property = fc.asyncProperty(arbitraryOriginal, edits, async (original, list) => {
        const value = JSON.parse(original.case) as { steps: object };
        for (const { path, value: replacement } of list) edit(value.steps, path, replacement);
        const message = await refusalOf(Buffer.from(`${original.header}\n${JSON.stringify(value)}\n`));
        outcomes[message === null ? 'run' : 'refused']++;
      });
      await fc.assert(property, { seed: SEED, numRuns: RUNS });
      expect(outcomes.run).toBeGreaterThan(0);
      expect(outcomes.refused).toBeGreaterThan(RUNS / 4);
    },
    TIMEOUT_MS,
  );
});
