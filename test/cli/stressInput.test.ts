/** `mmstorm stress --input`: real programs, recorded by strace, on the simulated kernel. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { StressDocument } from '../../src/report/stressDocument.ts';
import { runMmstorm } from '../support/runBuilt.ts';

const SAMPLES = join(import.meta.dirname, '../../stress/input/samples');
const folder = mkdtempSync(join(tmpdir(), 'mmstorm-input-'));
afterAll(() => rmSync(folder, { recursive: true }));

function runInput(file: string, ...options: string[]): { status: number | null; document: StressDocument } {
  const args = ['stress', '--input', file, '--ops', '900', '--duration', '40s', '--seed', '5', '-q', '--json'];
  const { status, stdout } = runMmstorm([...args, ...options], { timeoutMs: 55_000 });
  return { status, document: JSON.parse(stdout) as StressDocument };
}

describe('the samples', () => {
  it.each(['compiler', 'redisSnapshot', 'nodeStart'])('%s runs as recorded, and nothing is found', (name) => {
    const { status, document } = runInput(join(SAMPLES, `${name}.strace`), '--workers', '3');
    expect(document.findings).toEqual([]);
    expect(status).toBe(0);
    expect(document.input).toMatchObject({ differed: 0, unplaced: 0 });
    expect(document.input!.agreed).toBeGreaterThan(0);
    expect(document.ops['migrate'].count).toBeGreaterThan(0);
    expect(document.checks['leaks']).toBe(1);
  });

  it('failing allocations are told as other outcomes, not as findings', () => {
    const { status, document } = runInput(join(SAMPLES, 'redisSnapshot.strace'), '--fail-alloc', '0.05');
    expect(document.findings).toEqual([]);
    expect(status).toBe(0);
    expect(document.input!.differed).toBeGreaterThan(0);
    expect(document.input!.differences.length).toBeGreaterThan(0);
  });

  it('one CPU runs everything', () => {
    const { status, document } = runInput(join(SAMPLES, 'compiler.strace'), '--workers', '1');
    expect([status, document.input!.differed]).toEqual([0, 0]);
  });
});

describe('bad input', () => {
  it.each([
    ['nothing of interest', 'hello\n', 'no call that changes memory'],
    ['a damaged call', '1 munmap(over there, 4096) = 0\n', ':1: munmap: argument 1'],
    ['a call out of nowhere', '1 <... brk resumed>) = 0x1000\n', ':1: brk'],
  ])('%s: one line with file and place, exit 2', (_, text, message) => {
    const file = join(folder, 'bad.strace');
    writeFileSync(file, text);
    const { status, stdout, stderr } = runMmstorm(['stress', '--input', file]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain(`${file}`);
    expect(stderr).toContain(message);
  });
});
