/** `mmstorm stress` as a user runs it: short runs of the real command, its documents, its exit codes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StressDocument } from '../../src/report/stressDocument.ts';
import { OPERATION_NAMES } from '../../stress/operations.ts';
import { builtCli, runMmstorm } from '../support/runBuilt.ts';

/** Enough to meet every operation; the duration only bounds a busy machine. */
const SHORT = ['--ops', '1500', '--duration', '40s', '--workers', '2', '--seed', '7', '-q'];

function stressJson(args: readonly string[]): { status: number | null; document: StressDocument } {
  const { status, stdout } = runMmstorm(['stress', ...args, '--json'], { timeoutMs: 55_000 });
  return { status, document: JSON.parse(stdout) as StressDocument };
}

describe('the newest kernel', () => {
  it('finds nothing, says what it did, and leaks nothing', () => {
    const { status, document } = stressJson(SHORT);
    expect(document.findings).toEqual([]);
    expect(status).toBe(0);
    expect(document).toMatchObject({
      schema: 'mmstorm/stress/1',
      command: 'stress',
      kernel: 'linux-7.0',
      seed: 7,
      workers: 2,
      interrupted: false,
    });
    expect(Object.keys(document.ops)).toEqual([...OPERATION_NAMES]);
    expect(document.totalOps).toBe(Object.values(document.ops).reduce((sum, { count }) => sum + count, 0));
    expect(document.totalOps).toBeGreaterThanOrEqual(1500);
    expect(document.locks.map((lock) => lock.class)).toContain('&mm->mmap_lock');
    expect(document.checks['leaks']).toBe(1);
    expect(document.checks['rmap-reach']).toBeGreaterThan(0);
  });

  it('with allocations that fail: nothing found, nothing leaked', () => {
    const { status, document } = stressJson([...SHORT, '--fail-alloc', '0.02']);
    expect(document.findings).toEqual([]);
    expect(status).toBe(0);
    expect(document.injectedFailures).toBeGreaterThan(0);
  });

  it('more CPUs than cores, without detectors, without delays', () => {
    const { status, document } = stressJson([
      ...[
        '--ops',
        '600',
        '--duration',
        '40s',
        '--workers',
        '6',
        '--seed',
        '3',
        '-q',
        '--perturb',
        '0',
        '--no-lockdep',
        '--no-check',
      ],
    ]);
    expect(status).toBe(0);
    expect(document.checks).toEqual({});
  });

  it('stops after a number of operations', () => {
    const { document } = stressJson(['--ops', '400', '--workers', '2', '--seed', '1', '-q', '--duration', '40s']);
    expect(document.totalOps).toBeGreaterThanOrEqual(400);
    expect(document.totalOps).toBeLessThan(420);
  });

  it('prints its options first and its verdict last', () => {
    const { status, stdout, stderr } = runMmstorm(['stress', ...SHORT.slice(0, -1)], { timeoutMs: 55_000 });
    expect(status).toBe(0);
    expect(stderr).toContain('mmstorm stress: kernel linux-7.0, seed 7, 2 CPUs');
    expect(stdout).toMatch(/^stress: linux-7\.0, seed 7, 2 CPUs, /);
    expect(stdout.trimEnd().endsWith('nothing found')).toBe(true);
  });
});

describe('a bug switched on', () => {
  it('is found, explained and can be repeated', () => {
    const args = ['--bug', 'mremap-tlb-flush-after-ptl', '--duration', '30s', '--workers', '2', '--seed', '1', '-q'];
    const { status, document } = stressJson(args);
    expect(status).toBe(1);
    const [finding] = document.findings;
    expect(['stale-tlb', 'lost-write', 'use-after-free', 'cow-isolation']).toContain(finding.kind);
    expect(finding.id).toMatch(/^[0-9a-f]{8}$/);
    expect(finding.bug).toContain('mremap-tlb-flush-after-ptl');
    expect(finding.reference).toContain('CVE-2018-18281');
    expect(finding.evidence.join('\n')).toMatch(/CPU \d #\d+ at [\d.]+ s: /);
    expect(finding.reproduce).toMatch(/^mmstorm stress --seed 1 --workers 2 .*--bug mremap-tlb-flush-after-ptl/);
    const again = runMmstorm([...finding.reproduce.split(' ').slice(1), '-q', '--json'], { timeoutMs: 55_000 });
    expect(again.status).toBe(1);
  });
});

describe('interruption and output', () => {
  it('Ctrl-C: partial results, exit code 130', async () => {
    const child = spawn(process.execPath, [builtCli(), 'stress', '--duration', '50s', '--workers', '2', '--json']);
    let stdout = '';
    child.stdout.on('data', (chunk) => (stdout += String(chunk)));
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    // The first line on stderr says what is about to run; a moment later it does.
    child.stderr.once('data', () => setTimeout(() => child.kill('SIGINT'), 1500));
    expect(await ended).toBe(130);
    const document = JSON.parse(stdout) as StressDocument;
    expect(document.interrupted).toBe(true);
    expect(document.elapsedMs).toBeLessThan(30_000);
  });

  it('-o writes the document to a file, and nothing else', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mmstorm-'));
    const file = join(folder, 'run.json');
    const { status, stdout } = runMmstorm(['stress', ...SHORT, '--json', '-o', file], { timeoutMs: 55_000 });
    expect([status, stdout]).toEqual([0, '']);
    expect(readdirSync(folder)).toEqual(['run.json']);
    expect((JSON.parse(readFileSync(file, 'utf8')) as StressDocument).command).toBe('stress');
    rmSync(folder, { recursive: true });
  });
});
