/** `mmstorm conform --live` and `--random`: what works on every host, and what works where recording is allowed. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';

const folder = mkdtempSync(join(tmpdir(), 'mmstorm-live-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LIVE_TIMEOUT_MS = 50_000;
const live = (args: string[], env: Record<string, string> = {}) =>
  runMmstorm(['conform', '--live', ...args], { cwd: folder, env, timeoutMs: LIVE_TIMEOUT_MS });

/** A cc that only does what `script` says. */
function fakeCompiler(script: string): Record<string, string> {
  const file = join(folder, 'cc');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return { PATH: `${folder}:/usr/bin:/bin` };
}

/** A recorder that says `words` and ends. */
function fakeRecorder(words: string): Record<string, string> {
  return fakeCompiler(`printf '#!/bin/sh\\necho "${words}"\\n' > "$3"; chmod +x "$3"`);
}

const isSupported = process.platform === 'linux' && process.arch === 'x64';

describe.runIf(isSupported)('a host that does not allow recordings', () => {
  it.each([
    ['without a compiler', () => ({ PATH: '/nonexistent' }), '--live needs a C compiler: there is no cc'],
    ['with a broken one', () => fakeCompiler('echo "x.c:1: error: no headers" >&2; exit 1'), 'error: no headers'],
    ['without rights', () => fakeRecorder('x /proc/kpagecount: Permission denied'), 'kpagecount: Permission denied'],
    ['on which the recorder dies', () => fakeRecorder(''), 'the recorder ended without an answer'],
  ])('%s: one line, exit code 2', (_, environment, reason) => {
    const { status, stdout, stderr } = live(['--cases', '1', '-q'], environment());
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(reason);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

const trial = live(['--cases', '16', '--seed', '5', '--record', 'all.jsonl', '--json']);

describe('a recording of this host', () => {
  it('agrees with the simulated kernel, or cannot be made', () => {
    if (trial.status === 2) expect(trial.stderr).toMatch(/^mmstorm conform: --live .*\n$/m);
    else {
      const { cases, failed, dropped } = JSON.parse(trial.stdout) as {
        cases: number;
        failed: number;
        dropped: string[];
      };
      expect({ status: trial.status, cases, failed, dropped }).toEqual({
        status: 0,
        cases: 16,
        failed: 0,
        dropped: [],
      });
    }
  });

  describe.runIf(trial.status === 0)('where it is allowed', () => {
    it('is a trace file that can be run again', () => {
      const { status, stdout } = runMmstorm(['conform', 'all.jsonl', '-q'], { cwd: folder });
      expect(status).toBe(0);
      expect(stdout).toContain('1 file, 16 cases: 16 passed, 0 failed, 0 skipped');
    });

    it('is the same when its cases are recorded again', () => {
      expect(live(['all.jsonl', '--record', 'again.jsonl', '-q']).status).toBe(0);
      expect(readFileSync(join(folder, 'again.jsonl'), 'utf8')).toBe(readFileSync(join(folder, 'all.jsonl'), 'utf8'));
    });

    it('shows a bug in few steps, and writes them as a trace', () => {
      const args = ['--family', 'pin-fork', '--cases', '8', '--seed', '1', '--bug', 'fork-shares-pinned-page'];
      const { status, stdout } = live([...args, '-o', 'found.jsonl', '--json']);
      expect(status).toBe(1);
      const { divergences } = JSON.parse(stdout) as { divergences: { step: number; op: string }[] };
      expect(divergences.length).toBeGreaterThan(0);
      for (const { op, step } of divergences) {
        expect(op).toBe('fork');
        expect(step).toBeLessThanOrEqual(4);
      }
      const again = runMmstorm(['conform', 'found.jsonl', '-q'], { cwd: folder });
      expect(again.status).toBe(0);
      const bug = runMmstorm(['conform', 'found.jsonl', '-q', '--bug', 'fork-shares-pinned-page'], { cwd: folder });
      expect(bug.stdout).toContain(`0 passed, ${divergences.length} failed`);
    });
  });
});

describe('mmstorm conform --random', () => {
  it.each(['threads', 'explored'])('finds no difference in the newest kernel (%s build)', (build) => {
    const { status, stdout } = runMmstorm(['conform', '--random', '60', '--seed', '1', '--build', build, '-q']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^60 random sequences, seed 1, \d+ steps \(\d+ steps\/s\): no difference\n$/);
  });

  it('cuts a difference down to the steps it takes', () => {
    const args = ['--random', '500', '--seed', '5', '--bug', 'fork-shares-pinned-page', '--json'];
    const { status, stdout } = runMmstorm(['conform', ...args]);
    const { difference } = JSON.parse(stdout) as { difference: { steps: { op: string }[]; problem: string } };
    expect(status).toBe(1);
    expect(difference.problem).toMatch(/^pin \d+ sees \d+, should be \d+$/);
    const ops = difference.steps.map(({ op }) => op);
    expect(ops).toEqual(expect.arrayContaining(['mmap', 'pin', 'fork', 'write']));
    expect(ops.length).toBeLessThanOrEqual(6);
  });
});
