/** Bad input: exit code 2, one clear line on stderr, nothing on stdout, nothing written, no stack trace. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';

/** What is typed, and what the line must name. */
const BAD: [args: string[], names: string][] = [
  [[], 'no command'],
  [['ruels'], "'ruels' (Did you mean rules?)"],
  [['--bogus'], '--bogus'],
  [['--seed', '1', 'rules'], '--seed'],
  [['rules', '--jsno'], "'--jsno' (Did you mean --json?)"],
  [['rules', '--json=yes'], '--json'],
  [['rules', '--kernel'], '--kernel'],
  [['rules', '--kernel', 'linux-1.0'], 'linux-1.0'],
  [['rules', '--set', 'mremap.flush'], 'mremap.flush'],
  [['rules', '--set', '=x'], "'=x'"],
  [['rules', '--set', 'mremap.flash=never'], 'mremap.flash'],
  [['rules', '--set', 'mremap.flush=sometimes'], 'sometimes'],
  [['rules', '--set', '__proto__.x=y'], '__proto__'],
  [['rules', '--set', 'x=\n\u001b[31my'], '--help'],
  [['rules', '--color', 'blue'], 'blue'],
  [['kernels', 'linux-7.0'], 'arguments'],
  [['bugs', 'no-such-bug'], 'no-such-bug'],
  [['stress', '--seed', '-1'], '--seed'],
  [['stress', '--seed', '9007199254740992'], '--seed'],
  [['stress', '--workers', '0'], '--workers'],
  [['stress', '--workers', '-4'], '--workers'],
  [['stress', '--workers', '99999999999999999999'], '--workers'],
  [['stress', '--duration', '10'], '--duration'],
  [['stress', '--duration', '-10s'], '--duration'],
  [['stress', '--duration', '99999999h'], '--duration'],
  [['stress', '--ops', '1.5'], '--ops'],
  [['stress', '--ops', '-5'], '--ops'],
  [['stress', '--perturb', '2'], '--perturb'],
  [['stress', '--fail-alloc', 'NaN'], '--fail-alloc'],
  [['stress', '--mix', 'frok=1'], 'frok'],
  [['stress', '--mix', 'fork=-1'], '--mix'],
  [['stress', '--mix', 'fork'], '--mix'],
  [['stress', '--mix', ''], '--mix'],
  [['stress', '--bug', 'no-such-bug'], 'no-such-bug'],
  [['stress', '--kernel', 'linux-1.0'], 'linux-1.0'],
  [['stress', '--set', 'mremap.flush=sometimes'], 'sometimes'],
  [['stress', 'fork'], 'arguments'],
  [['hunt'], 'nothing to hunt'],
  [['hunt', 'no-such-bug'], 'no-such-bug'],
  [['hunt', '--all', 'vma-adjust-unlocked'], "'vma-adjust-unlocked' is one too many"],
  [['hunt', '--all', '--from', 'missing.json'], '--from'],
  [['hunt', '--from', 'missing.json'], 'missing.json'],
  [['hunt', '--from', 'folder'], 'folder'],
  [['hunt', '--all', '--strategy', 'guess'], 'guess'],
  [['hunt', '--all', '--workers', '0'], '--workers'],
  [['hunt', '--all', '--executions', '-1'], '--executions'],
  [['hunt', '--all', '--depth', '0'], '--depth'],
  [['hunt', '--all', '--bug', 'no-such-bug'], 'no-such-bug'],
  [['verify'], 'scenario'],
  [['verify', 'no-such'], 'no-such'],
  [['verify', 'first-writes', 'fault-vs-fork'], 'arguments'],
  [['verify', 'first-writes', '--preemptions', '99'], '--preemptions'],
  [['replay'], 'no finding was recorded'],
  [['replay', 'missing.json'], 'missing.json'],
  [['replay', 'folder'], 'folder'],
  [['scenarios', 'no-such'], 'no-such'],
  [['bench', '--time', '-1'], '--time'],
  [['locks', '--seed', 'x'], '--seed'],
  [['locks', 'mmap_lock'], 'arguments'],
  [['lockdep'], 'lockdep'],
  [['lockdep', 'walk'], 'walk'],
  [['lockdep', 'run', 'missing.jsonl'], 'missing.jsonl'],
  [['conform'], 'file'],
  [['conform', 'missing.jsonl'], 'missing.jsonl'],
  [['conform', '--build', 'both', 'folder'], 'both'],
];

/** Files that cannot be written, from the working folder. */
const BAD_OUTPUT: [file: string, reason: string][] = [
  ['missing/result.json', 'does not exist'],
  ['folder', 'folder'],
  ['', 'empty'],
  ['/proc/result.json', 'cannot be written'],
  [`${'x'.repeat(300)}.json`, 'too long'],
];

let cwd = '';

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'mmstorm-test-'));
  mkdirSync(join(cwd, 'folder'));
});

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

function expectRefused(args: string[], names: string): void {
  const { status, stdout, stderr } = runMmstorm(args, { cwd });
  expect(stderr).toMatch(/^mmstorm[^\n]*--help\n$/);
  expect(stderr).toContain(names);
  expect(stderr).not.toContain('\u001b');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(readdirSync(cwd)).toEqual(['folder']);
}

describe('bad usage', () => {
  it.each(BAD)('mmstorm %j is refused', (args, names) => expectRefused(args, names));

  it.each(BAD_OUTPUT)('-o %j is refused', (file, reason) => expectRefused(['rules', '--json', '-o', file], reason));
});
