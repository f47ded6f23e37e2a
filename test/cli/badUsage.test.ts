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
  [['stress', '--input', '/no/such/file'], '/no/such/file'],
  [['stress', '--input', 'x', '--mix', 'fork=1'], '--mix'],
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
  [['hunt', '--all', '--memory', 'arm'], 'arm'],
  [['hunt', '--all', '--detect', 'ghosts'], "unknown detector 'ghosts'"],
  [['hunt', '--all', '--detect', ''], "unknown detector ''"],
  [['hunt', '--all', '--detect', 'all,races'], "'all'"],
  [['hunt', 'first-writes', '--memory', 'tso', '--detect', 'races'], '--detect races'],
  [['verify', 'first-writes', '--memory', 'tso', '--detect', 'lifetimes,guards'], '--detect guards'],
  [['verify'], 'scenario'],
  [['verify', 'no-such'], 'no-such'],
  [['verify', 'first-writes', 'fault-vs-fork'], 'arguments'],
  [['verify', 'first-writes', '--preemptions', '99'], '--preemptions'],
  [['replay'], 'no finding was recorded'],
  [['replay', 'missing.json'], 'missing.json'],
  [['replay', 'folder'], 'folder'],
  [['replay', '--format', 'html'], 'html'],
  [['replay', '--format', 'chrome-trace', '--json'], '--json'],
  [['replay', '--format', 'text', '-v'], '--verbose'],
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
  [['conform', '--kernel', 'linux-1.0', '-'], 'linux-1.0'],
  [['conform', '--bug', 'no-such-bug', '-'], 'no-such-bug'],
  [['conform', '--set', 'mremap.flush=sometimes', '-'], 'sometimes'],
  [['conform', '--trace', '--json', '-'], '--json'],
  [['conform', '-q', '-v', '-'], '--verbose'],
  [['conform', '--live', '--family', 'fork'], 'mremap-errno'],
  [['conform', '--live', '--cases', '0'], '--cases'],
  [['conform', '--live', 'missing.jsonl'], 'missing.jsonl'],
  [['conform', '--record', 'missing/all.jsonl'], 'does not exist'],
  [['conform', '--random', '-1'], '--random'],
  [['conform', '--random', '1', '--live'], '--live'],
  [['conform', '--random', '1', 'folder'], 'folder'],
  [['conform', '/dev/null'], '/dev/null:1: the header is missing'],
];

const HEADER = {
  type: 'header',
  format: 1,
  kernel: 'Linux 6.18',
  window: { base: '0x7f0000000000', pages: 4096, task_size: '0x7ffffffff000' },
};
const CASE = { id: 'c', family: 'f', memlock: null, steps: [], end: { vmas: 0, pages: 0 } };

/** Traces on the standard input, by lines, and the place and reason that the message must give. */
const BAD_TRACES: [lines: unknown[], names: string][] = [
  [[], '<stdin>:1: the header is missing'],
  [[CASE], '<stdin>:1: type: the first line of a trace file is its header'],
  [[{ ...HEADER, format: 2 }], '<stdin>:1: format: this program reads format 1'],
  [[{ ...HEADER, window: { ...HEADER.window, pages: 8 } }], '<stdin>:1: window.pages: the simulated machine has 4096'],
  [[{ ...HEADER, kernel: 'Linux 5.4' }, CASE], "<stdin>:1: kernel: no preset is 'Linux 5.4'"],
  [[HEADER, 7], '<stdin>:2: expected an object, not 7'],
  [[HEADER, { ...CASE, id: '' }], '<stdin>:2: id: expected text'],
  [[HEADER, { ...CASE, memlock: -1 }], '<stdin>:2: memlock: expected a whole number'],
  [[HEADER, { ...CASE, steps: [{ op: 'brk' }] }], '<stdin>:2: steps[0].op: expected one of mmap'],
  [[HEADER, { ...CASE, steps: [{ op: 'ksm', r: 0, d: { 7: {} } }] }], '<stdin>:2: steps[0].d.7: unknown key'],
  [[HEADER, CASE, CASE], "<stdin>:3: id: 'c' is on line 2 already"],
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

function expectRefused(args: string[], names: string, input = ''): void {
  const { status, stdout, stderr } = runMmstorm(args, { cwd, input: Buffer.from(input) });
  expect(stderr).toMatch(/^mmstorm[^\n]*--help\n$/);
  expect(stderr).toContain(names);
  expect(stderr).not.toContain('\u001b');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(readdirSync(cwd)).toEqual(['folder']);
}

describe('bad usage', () => {
  it.each(BAD)('mmstorm %j is refused', (args, names) => expectRefused(args, names));

  it.each(BAD_TRACES)('mmstorm conform - refuses %j', (lines, names) => {
    expectRefused(['conform', '-'], names, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  });

  it.each(BAD_OUTPUT)('-o %j is refused', (file, reason) => expectRefused(['rules', '--json', '-o', file], reason));
});
