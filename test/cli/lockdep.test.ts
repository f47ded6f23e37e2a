/** `mmstorm lockdep run`: exit codes, the document, and what a human sees. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/lockdep');
const SELF_TESTS = join(FIXTURES, 'selftest.jsonl');
const folder = mkdtempSync(join(tmpdir(), 'mmstorm-lockdep-'));

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

interface Document {
  cases: number;
  agreed: number;
  disagreed: { id: string; expected: string; actual: string; report: string | null }[];
  unsupported: { id: string; reason: string }[];
}

describe('lockdep run', () => {
  it('agrees with the self-tests of the kernel and says what it does not run', () => {
    const { status, stdout, stderr } = runMmstorm(['lockdep', 'run', SELF_TESTS, '--json']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { cases, agreed, disagreed, unsupported } = JSON.parse(stdout) as Document;
    expect({ agreed, disagreed }).toEqual({ agreed: 51, disagreed: [] });
    expect(unsupported).toHaveLength(cases - 51);
    expect(unsupported.every(({ reason }) => reason.startsWith('not simulated: '))).toBe(true);
  });

  it('a disagreement has the report in the document, and exit code 1', () => {
    const threads = [
      [
        ['mutex.lock', 'A'],
        ['mutex.unlock', 'A'],
        ['mutex.unlock', 'A'],
      ],
    ];
    const wrong = [
      { id: 'silent', threads: [[['spin.lock', 'A']]], expect: 'violation' },
      { id: 'loud', threads, expect: 'ok' },
    ];
    const file = fileOf('wrong.jsonl', wrong.map((record) => JSON.stringify(record)).join('\n'));
    const { status, stdout } = runMmstorm(['lockdep', 'run', file, '--json']);
    expect(status).toBe(1);
    const { disagreed } = JSON.parse(stdout) as Document;
    expect(disagreed).toMatchObject([
      { id: 'silent', expected: 'violation', actual: 'ok', report: null },
      { id: 'loud', expected: 'ok', actual: 'violation' },
    ]);
    expect(disagreed[1].report).toContain('WARNING: bad unlock balance detected!');
    const human = runMmstorm(['lockdep', 'run', file]);
    expect(human.status).toBe(1);
    expect(human.stdout).toContain('2 cases: 0 agreed, 2 disagreed, 0 unsupported');
    expect(human.stdout).toContain('violation (unlock-imbalance)');
  });

  it('--case runs one case, --reports prints what the validator said', () => {
    const { status, stdout } = runMmstorm(['lockdep', 'run', SELF_TESTS, '--case', 'ABBA/wsem', '--reports']);
    expect(status).toBe(0);
    expect(stdout).toContain('WARNING: possible circular locking dependency detected');
    expect(stdout).toContain('1 cases: 1 agreed, 0 disagreed, 0 unsupported');
  });

  it('nothing to run is exit code 4', () => {
    expect(runMmstorm(['lockdep', 'run', fileOf('empty.jsonl', '\n')])).toMatchObject({ status: 4 });
    expect(runMmstorm(['lockdep', 'run', SELF_TESTS, '--case', 'none'])).toMatchObject({ status: 4 });
  });

  const usage: [string, string[], RegExp][] = [
    ['no subcommand', [], /no subcommand given/],
    ['an unknown subcommand', ['walk'], /unknown subcommand 'walk'/],
    ['no file', ['run'], /missing required argument 'file'/],
    ['two files', ['run', SELF_TESTS, SELF_TESTS], /too many arguments/],
    ['a missing file', ['run', '/no/such/file'], /\/no\/such\/file cannot be read/],
    ['broken JSON', ['run', fileOf('broken.jsonl', '{"id":')], /broken\.jsonl:1: not JSON/],
    [
      'an unknown operation',
      ['run', fileOf('op.jsonl', '{"id":"a","threads":[[["spin.luck","A"]]],"expect":"ok"}')],
      /op\.jsonl:1: threads\[0\]\[0\]: unknown operation 'spin\.luck'/,
    ],
    ['a missing field', ['run', fileOf('field.jsonl', '{"id":"a","threads":[[]]}')], /field\.jsonl:1: expect: /],
  ];
  it.each(usage)('%s is one line and exit code 2', (_name, args, message) => {
    const { status, stdout, stderr } = runMmstorm(['lockdep', ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
