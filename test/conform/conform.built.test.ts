/** `mmstorm conform` as a user runs it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';
import { BROKEN, DIVERGENT, TRACES } from './fixtures.ts';

interface Report {
  files: number;
  cases: number;
  passed: number;
  failed: number;
  skipped: { op: string; reason: string; cases: number }[];
  divergences: { case: string; step: number; op: string; expected: unknown; actual: unknown }[];
}

function report(...args: string[]): { status: number | null; report: Report } {
  const { status, stdout } = runMmstorm(['conform', ...args, '--json']);
  return { status, report: JSON.parse(stdout) as Report };
}

/** A case that this build leaves out, or null when it can run all. */
function skippedCase(): { id: string; reason: string } | null {
  const { stdout } = runMmstorm(['conform', TRACES, '-v']);
  const [, id, reason] = /^(\S+): skipped for \w+: (.+)$/m.exec(stdout) ?? [];
  return id === undefined || reason === undefined ? null : { id, reason };
}

const folder = mkdtempSync(join(tmpdir(), 'mmstorm-conform-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('mmstorm conform', () => {
  it.each(['threads', 'explored'])('the recorded traces agree (%s build)', (build) => {
    const { status, report: result } = report(TRACES, '--build', build);
    expect(status).toBe(0);
    expect(result).toMatchObject({ files: 16, cases: 158, failed: 0, divergences: [] });
    const skipped = result.skipped.reduce((sum, { cases }) => sum + cases, 0);
    expect(result.passed + skipped).toBe(result.cases);
    expect(result.passed).toBeGreaterThanOrEqual(136);
  });

  it('traces that no kernel would leave are told apart, each at its first wrong step', () => {
    const { status, report: result } = report(DIVERGENT);
    expect(status).toBe(1);
    expect(result).toMatchObject({ cases: 5, passed: 1, failed: 4 });
    expect(result.divergences).toMatchObject([
      { case: 'divergent-result', step: 0, op: 'mmap', expected: 'EINVAL', actual: 4093 },
      { case: 'divergent-vma', step: 0, op: 'mmap', expected: [[4093, 4096, 'rw-p', '']] },
      { case: 'divergent-page', step: 3, op: 'write', expected: [[4094, 0, 1, 'xe', 64]] },
      { case: 'divergent-stamp', step: 1, op: 'write', actual: [[4094, 0, 1, 'xe', 65]] },
    ]);
  });

  it('a divergence is shown side by side, with the rule it concerns', () => {
    const { status, stdout } = runMmstorm(['conform', DIVERGENT, '--case', 'divergent-page']);
    expect(status).toBe(1);
    expect(stdout).toContain('divergent-page step 3: write(p1, at 4094, value 7) = 0');
    expect(stdout).toMatch(/expected {2}\[rw-p ac.*\n.*f0 xe 64/);
    expect(stdout).toMatch(/actual {4}\[rw-p ac.*\n.*f0 x 64/);
    expect(stdout).toContain('rule: do_wp_page()');
  });

  it('a file from the standard input, and the result in a file', () => {
    const file = join(folder, 'result.json');
    const input = readFileSync(join(TRACES, 'fork-cow.jsonl'));
    const { status, stdout } = runMmstorm(['conform', '-', '--json', '-o', file], { input });
    expect(status).toBe(0);
    expect(stdout).toBe('');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ files: 1, cases: 12, failed: 0 });
  });

  it('--trace prints each step of a case with VMAs and pages', () => {
    const { stdout } = runMmstorm(['conform', TRACES, '--case', 'migrate-00004', '--trace']);
    const pin = stdout.indexOf('4: pin(p0, at 981, len 1, pin 0) = 0');
    const migrate = stdout.indexOf('5: migrate(p0, at 980, len 3) = 0');
    expect(pin).toBeGreaterThan(0);
    expect(migrate).toBeGreaterThan(pin);
    expect(stdout.slice(migrate)).toContain('f3 xe 29  f1 xe 24  f4 xe 91');
  });

  it('another kernel, another result: 2.6.34 shares a pinned page with the child', () => {
    const { status, report: result } = report(join(TRACES, 'pin-fork.jsonl'), '--set', 'fork.pinnedPage=share');
    expect(status).toBe(1);
    expect(result.divergences.every(({ op }) => op === 'fork')).toBe(true);
  });

  it('a bug of the catalogue, a line for each case, and no more than totals when quiet', () => {
    const file = join(TRACES, 'pin-fork.jsonl');
    const verbose = runMmstorm(['conform', file, '--bug', 'fork-shares-pinned-page', '-v']);
    expect(verbose.status).toBe(1);
    expect(verbose.stdout).toMatch(/^pin-fork-\d+: passed, \d+ steps$/m);
    expect(verbose.stdout).toMatch(/^pin-fork-\d+: failed at step \d+$/m);
    const quiet = runMmstorm(['conform', file, '-q']);
    expect(quiet).toMatchObject({ status: 0, stderr: '' });
    expect(quiet.stdout).toMatch(/^linux-6\.18, threads build: 1 file, 14 cases: \d+ passed, 0 failed, .+\n$/);
  });

  it('the recording says which kernel, unless the command line does', () => {
    const file = join(folder, 'newer.jsonl');
    const text = readFileSync(join(TRACES, 'fork-cow.jsonl'), 'utf8');
    writeFileSync(file, text.replace('Linux 6.18', 'Linux 7.0'));
    const kernelOf = (...args: string[]) => (report(file, ...args).report as unknown as { kernel: string }).kernel;
    expect(kernelOf()).toBe('linux-7.0');
    expect(kernelOf('--kernel', 'linux-6.18')).toBe('linux-6.18');
    expect((report(file, TRACES).report as unknown as { kernel: string }).kernel).toBe('linux-7.0, linux-6.18');
    rmSync(file);
  });

  it('a case that was asked for but left out is no success', () => {
    const missing = skippedCase();
    if (missing === null) return;
    const { status, stderr } = runMmstorm(['conform', TRACES, '--case', missing.id]);
    expect(status).toBe(4);
    expect(stderr).toContain(`case '${missing.id}' was skipped: ${missing.reason}`);
    const { report: result } = report(TRACES, '--case', missing.id);
    expect(result).toMatchObject({ cases: 1, passed: 0, failed: 0, skipped: [{ cases: 1 }] });
  });

  it.each([
    ['no case of that id', ['--case', 'no-such-case', TRACES]],
    ['an empty folder', [folder]],
  ])('nothing matched: %s', (_, args) => {
    const { status, stdout } = runMmstorm(['conform', ...args]);
    expect(status).toBe(4);
    expect(stdout).toBe('');
  });

  it('bad input: file, line and field on one line of stderr, nothing else', () => {
    const file = join(BROKEN, 'badVma.jsonl');
    const { status, stdout, stderr } = runMmstorm(['conform', TRACES, file, '--json']);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`${file}:2: steps[0].d.0.va[0][3]: expected some of`);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('a file that is cut in the middle of a case', () => {
    const text = readFileSync(join(TRACES, 'fork-cow.jsonl'), 'utf8');
    const file = join(folder, 'cut.jsonl');
    writeFileSync(file, text.slice(0, text.length / 2));
    const { status, stderr } = runMmstorm(['conform', file]);
    rmSync(file);
    expect(status).toBe(2);
    expect(stderr).toMatch(/cut\.jsonl:\d+: not JSON: /);
  });
});
