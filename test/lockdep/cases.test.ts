/** The kernel's lock self-tests through the validator, and cases of our own for what those leave out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCases, readCaseFile, type LockCase } from '../../src/lockdep/caseFile.ts';
import { CaseRunner } from '../../src/lockdep/caseRunner.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/lockdep');
const SELF_TESTS = join(FIXTURES, 'selftest.jsonl');
const EXTRA = join(FIXTURES, 'extra.jsonl');

/** What a reference model reports first for a case, and where. */
interface Reference {
  report: string;
  at?: [number, number];
}

function references(file: string): Map<string, Reference | undefined> {
  const records = readFileSync(file, 'utf8').trim().split('\n');
  return new Map(
    records.map((line) => {
      const { id, ref } = JSON.parse(line) as { id: string; ref?: Reference };
      return [id, ref];
    }),
  );
}

const runner = new CaseRunner();

function verdict(lockCase: LockCase): { verdict: string; report?: string | undefined } {
  const { report } = runner.run(lockCase);
  return report === null ? { verdict: 'ok' } : { verdict: 'violation', report: report.kind };
}

describe('self-tests of the kernel', () => {
  const cases = readCaseFile(SELF_TESTS);
  const reference = references(SELF_TESTS);
  const supported = cases.filter(({ unsupported }) => unsupported === null);

  it('51 of them need nothing but spinlocks, rwlocks, mutexes and rwsems', () => {
    expect(supported).toHaveLength(51);
    expect(cases.length).toBeGreaterThan(51);
  });

  it.each(supported.map((lockCase) => [lockCase.id, lockCase] as const))('%s', (id, lockCase) => {
    const { report, at } = runner.run(lockCase);
    expect(report === null ? 'ok' : 'violation').toBe(lockCase.expected);
    expect(report === null ? undefined : { report: report.kind, at }).toEqual(reference.get(id));
  });

  it('the others say what is missing, and are not run', () => {
    for (const lockCase of cases) {
      if (lockCase.unsupported === null) continue;
      expect(lockCase.unsupported).toMatch(/^not simulated: /);
      expect(() => runner.run(lockCase)).toThrow('cannot be run');
    }
  });
});

describe('cases of our own', () => {
  const reference = references(EXTRA);
  it.each(readCaseFile(EXTRA).map((lockCase) => [lockCase.id, lockCase] as const))('%s', (id, lockCase) => {
    expect(verdict(lockCase)).toEqual({ verdict: lockCase.expected, ...reference.get(id) });
  });
});

/**
 * The families of self-tests that differ only in the primitive, written out: a string of locks per segment, capitals taken
 * and small letters released.
 */
describe('the families, for every primitive', () => {
  const COLUMNS: Record<string, [lock: string, unlock: string, init: string]> = {
    spin: ['spin.lock', 'spin.unlock', 'spin.init'],
    wlock: ['rwlock.write_lock', 'rwlock.write_unlock', 'rwlock.init'],
    rlock: ['rwlock.read_lock', 'rwlock.read_unlock', 'rwlock.init'],
    mutex: ['mutex.lock', 'mutex.unlock', 'mutex.init'],
    wsem: ['rsem.write_lock', 'rsem.write_unlock', 'rsem.init'],
    rsem: ['rsem.read_lock', 'rsem.read_unlock', 'rsem.init'],
  };
  const FAMILIES: Record<string, [segments: string, report: string, recursiveReaders: string]> = {
    AA: ['XY', 'recursive', 'ok'],
    ABBA: ['ABba BAab', 'circular', 'ok'],
    ABBCCA: ['ABba BCcb CAac', 'circular', 'ok'],
    ABCABC: ['ABba CAac BCcb', 'circular', 'ok'],
    ABBCCDDA: ['ABba BCcb CDdc DAad', 'circular', 'ok'],
    ABCDBDDA: ['ABba CDdc BDdb DAad', 'circular', 'ok'],
    ABCDBCDA: ['ABba CDdc BCcb DAad', 'circular', 'ok'],
    double_unlock: ['Aaa', 'unlock-imbalance', 'unlock-imbalance'],
    init_held: ['A!', 'held-lock-freed', 'held-lock-freed'],
  };

  const rows = Object.entries(FAMILIES).flatMap(([family, [segments, report, readers]]) =>
    Object.entries(COLUMNS).map(([column, ops]) => {
      const expected = column === 'rlock' ? readers : report;
      return [`${family}/${column}`, segments, ops, expected] as const;
    }),
  );
  it.each(rows)('%s', (id, text, [lock, unlock, init], expected) => {
    const threads = text.split(' ').map((segment) =>
      [...segment].map((letter) => {
        if (letter === '!') return [init, 'A'];
        return [letter === letter.toUpperCase() ? lock : unlock, letter.toUpperCase()];
      }),
    );
    const record = { id, threads, expect: 'ok', env: { read_lock_recursive: true }, classOf: { X: 'X', Y: 'X' } };
    const [lockCase] = parseCases(JSON.stringify(record), 'family');
    const { verdict: outcome, report } = verdict(lockCase);
    expect(report ?? outcome).toBe(expected);
  });
});

/** W writes, R reads recursively; each pair is one segment, in every order of the segments. */
describe('three readers and writers', () => {
  const GROUPS: Record<string, [pairs: string[], expected: string]> = {
    W1R2_W2R3_W3R1: [['W1R2', 'W2R3', 'W3R1'], 'circular'],
    W1W2_R2R3_W3R1: [['W1W2', 'R2R3', 'W3R1'], 'circular'],
    W1R2_R2R3_W3W1: [['W1R2', 'R2R3', 'W3W1'], 'ok'],
    W1W2_R2R3_R3W1: [['W1W2', 'R2R3', 'R3W1'], 'ok'],
  };
  const ORDERS = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const rows = Object.entries(GROUPS).flatMap(([name, [pairs, expected]]) =>
    ORDERS.map((order) => [`${name}/${order.join('')}`, order.map((i) => pairs[i]), expected] as const),
  );
  it.each(rows)('%s', (id, pairs, expected) => {
    const op = (access: string, action: string, lock: string): string[] => [
      `rwlock.${access === 'W' ? 'write' : 'read'}_${action}`,
      lock,
    ];
    const threads = pairs.map(([a, x, b, y]) => [
      op(a, 'lock', x),
      op(b, 'lock', y),
      op(b, 'unlock', y),
      op(a, 'unlock', x),
    ]);
    const record = { id, threads, expect: 'ok', env: { read_lock_recursive: true } };
    const [lockCase] = parseCases(JSON.stringify(record), 'triples');
    const { verdict: outcome, report } = verdict(lockCase);
    expect(report ?? outcome).toBe(expected);
  });
});
