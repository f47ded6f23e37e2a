/** What is not a case is refused with its line and field, and nothing else. */
import { describe, expect, it } from 'vitest';
import { parseCases, readCaseFile } from '../../src/lockdep/caseFile.ts';

const GOOD = '{"id":"a","threads":[[["spin.lock","A"]]],"expect":"ok"}';

function refusal(text: string): string {
  try {
    parseCases(text, 'f');
  } catch (error) {
    expect((error as Error).name).toBe('UsageError');
    return (error as Error).message;
  }
  return 'accepted';
}

/** The refusal of a case with one operation. */
function opRefusal(...op: unknown[]): string {
  return refusal(JSON.stringify({ id: 'a', threads: [[], [['spin.lock', 'A'], op]], expect: 'ok' }));
}

describe('files', () => {
  const rows: [string, string, string][] = [
    ['broken JSON', `${GOOD}\n{"id":`, 'f:2: not JSON: '],
    ['no object', '[]', 'f:1: Invalid input: expected object'],
    ['no id', '{"threads":[[]],"expect":"ok"}', 'f:1: id: '],
    ['an empty id', '{"id":"","threads":[[]],"expect":"ok"}', 'f:1: id: '],
    ['no threads', '{"id":"a","expect":"ok"}', 'f:1: threads: '],
    ['no segment', '{"id":"a","threads":[],"expect":"ok"}', 'f:1: threads: '],
    ['a segment that is no list', '{"id":"a","threads":[{}],"expect":"ok"}', 'f:1: threads[0]: '],
    ['an empty operation', '{"id":"a","threads":[[[]]],"expect":"ok"}', 'f:1: threads[0][0]: '],
    ['another expectation', '{"id":"a","threads":[[]],"expect":"fail"}', 'f:1: expect: '],
    ['no expectation', '{"id":"a","threads":[[]]}', 'f:1: expect: '],
    ['a tier that is text', '{"id":"a","threads":[[]],"expect":"ok","tier":"1"}', 'f:1: tier: '],
    ['a class that is no text', '{"id":"a","threads":[[]],"expect":"ok","classOf":{"X":1}}', 'f:1: classOf.X: '],
    ['an id twice', `${GOOD}\n\n${GOOD}`, "f:3: id: 'a' is on line 1 already"],
    [
      'env',
      '{"id":"a","threads":[[]],"expect":"ok","env":{"read_lock_recursive":1}}',
      'f:1: env.read_lock_recursive: ',
    ],
  ];
  it.each(rows)('%s', (_name, text, message) => {
    expect(refusal(text)).toContain(message);
    expect(refusal(text)).not.toContain('\n');
  });

  it('blank lines and Windows line ends do no harm', () => {
    expect(parseCases(`\n${GOOD}\r\n\n`, 'f')).toHaveLength(1);
  });

  it('a file that cannot be read is named', () => {
    expect(() => readCaseFile('/no/such/file')).toThrow('/no/such/file cannot be read');
  });
});

describe('operations', () => {
  const bad: [unknown[], string][] = [
    [['spin.lokc', 'A'], "unknown operation 'spin.lokc'"],
    [['spinn.lock', 'A'], "unknown operation 'spinn.lock'"],
    [['spin', 'A'], "unknown operation 'spin'"],
    [['spin.read_lock', 'A'], "unknown operation 'spin.read_lock'"],
    [['rwlock.lock', 'A'], "unknown operation 'rwlock.lock'"],
    [['mutex.downgrade', 'A'], "unknown operation 'mutex.downgrade'"],
    [['spin.unlock_nested', 'A', 1], "unknown operation 'spin.unlock_nested'"],
    [['task.sleep'], "unknown operation 'task.sleep'"],
    [[5, 'A'], 'the name of the operation is not text'],
    [['spin.lock'], "'spin.lock' takes 1 arguments, not 0"],
    [['spin.lock', 'A', 'B'], "'spin.lock' takes 1 arguments, not 2"],
    [['spin.lock', 7], 'the name of the lock is not text'],
    [['spin.lock', ''], 'the name of the lock is not text'],
    [['mutex.lock_nested', 'A'], "'mutex.lock_nested' takes 2 arguments, not 1"],
    [['mutex.lock_nested', 'A', 8], 'the subclass is not a whole number from 0 to 7'],
    [['mutex.lock_nested', 'A', '1'], 'the subclass is not a whole number from 0 to 7'],
    [['spin.lock_nest', 'A', 'B'], 'the nest lock is not family:name'],
    [['spin.lock_nest', 'A', 'irq:B'], 'the nest lock is not family:name'],
    [['spin.trylock', 'A', { result: 1 }], 'the result is not {"ret": number}'],
    [['task.return_to_user', 'A'], "'task.return_to_user' takes 0 arguments, not 1"],
  ];
  it.each(bad)('%j is refused', (op, message) => {
    expect(opRefusal(...op)).toContain(`f:1: threads[1][1]: ${message}`);
  });

  const good: unknown[][] = [
    ['spin.lock_nested', 'A', 7],
    ['spin.lock_nest', 'A', 'rsem:B:C'],
    ['rsem.read_trylock', 'A'],
    ['rwlock.write_trylock', 'A', { ret: 0 }],
    ['rsem.write_lock_nest', 'A', 'mutex:N'],
    ['mutex.trylock', 'A', { ret: true }],
    ['rwlock.read_lock_nested', 'A', 1],
    ['task.return_to_user'],
  ];
  it.each(good)('%j is read', (...op) => {
    expect(opRefusal(...op)).toBe('accepted');
  });

  it('families that are not simulated make a case unsupported, not wrong', () => {
    const text = JSON.stringify({
      id: 'a',
      threads: [[['ww.lock', 'O', 'T', { ret: 0 }], ['irq.disable']]],
      expect: 'ok',
    });
    const [lockCase] = parseCases(text, 'f');
    expect(lockCase.unsupported).toBe('not simulated: interrupt state, wound/wait mutexes');
  });

  it('so do a higher tier and too many locks', () => {
    const tier2 = parseCases(GOOD.replace('"id"', '"tier":2,"id"'), 'f');
    expect(tier2[0].unsupported).toMatch(/tier 2/);
    const threads = [Array.from({ length: 300 }, (_, i) => ['spin.lock', `L${i}`])];
    const [large] = parseCases(JSON.stringify({ id: 'a', threads, expect: 'ok' }), 'f');
    expect(large.unsupported).toBe('more than 255 locks');
  });
});
