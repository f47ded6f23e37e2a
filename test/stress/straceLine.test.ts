/** Lines of strace in all the forms it prints. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/base/usageError.ts';
import { parseStraceLine } from '../../stress/input/straceLine.ts';
import { readStrace } from '../../stress/input/traceFile.ts';

describe('one line', () => {
  it('a call: pid, name, arguments, result', () => {
    const line = '17 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7fef852fa000';
    expect(parseStraceLine(line)).toEqual({
      kind: 'call',
      pid: 17,
      name: 'mmap',
      args: ['NULL', '8192', 'PROT_READ|PROT_WRITE', 'MAP_PRIVATE|MAP_ANONYMOUS', '-1', '0'],
      result: { value: 0x7fef852fa000 },
    });
  });

  it.each([
    '[pid    17] munmap(0x1000, 4096) = 0',
    '17 12:00:01 munmap(0x1000, 4096) = 0',
    '17 12:00:01.123456 munmap(0x1000, 4096)     = 0 <0.000012>',
    '17 1700000000.123456 munmap(0x1000, 4096) = 0',
    '17    munmap(0x1000, 4096) = 0',
  ])('prefixes and durations: %s', (line) => {
    expect(parseStraceLine(line)).toEqual({
      kind: 'call',
      pid: 17,
      name: 'munmap',
      args: ['0x1000', '4096'],
      result: { value: 0 },
    });
  });

  it('without -f there is no pid', () => {
    expect(parseStraceLine('brk(NULL) = 0x1000')).toMatchObject({ kind: 'call', pid: 0, args: ['NULL'] });
  });

  it('an error, and a result that is not known', () => {
    const failed = parseStraceLine('1 mlock(0x1000, 4096) = -1 ENOMEM (Cannot allocate memory)');
    expect(failed).toMatchObject({ result: { errno: 'ENOMEM' } });
    expect(parseStraceLine('1 exit_group(0) = ?')).toMatchObject({ result: null });
  });

  it('commas and parentheses inside strings, lists and structures', () => {
    const line = String.raw`1 execve("/a,b)", ["x", "y\")"], {a=1, b=[2, 3]}) = 0`;
    expect(parseStraceLine(line)).toMatchObject({ args: ['"/a,b)"', String.raw`["x", "y\")"]`, '{a=1, b=[2, 3]}'] });
  });

  it('interrupted calls, and how a pid ends', () => {
    expect(parseStraceLine('1 madvise(0x1000, 4096, MADV_FREE <unfinished ...>')).toEqual({
      kind: 'unfinished',
      pid: 1,
      name: 'madvise',
      args: ['0x1000', '4096', 'MADV_FREE'],
    });
    expect(parseStraceLine('1 <... madvise resumed>)  = 0')).toMatchObject({ kind: 'resumed', result: { value: 0 } });
    expect(parseStraceLine('1 +++ exited with 0 +++')).toEqual({ kind: 'ended', pid: 1 });
    expect(parseStraceLine('1 +++ killed by SIGKILL (core dumped) +++')).toEqual({ kind: 'ended', pid: 1 });
    expect(parseStraceLine('1 --- SIGCHLD {si_signo=SIGCHLD} ---')).toEqual({ kind: 'other' });
  });

  it('any text is some line, and none takes the reader down', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void parseStraceLine(text)),
      { seed: 5, numRuns: 500 },
    );
  });
});

describe('a file', () => {
  const read = (...lines: string[]) => readStrace('f', `${lines.join('\n')}\n`);

  it('an interrupted call takes effect where it ends, one that makes a process where it begins', () => {
    const { calls } = read(
      '1 munmap(0x1000, 4096 <unfinished ...>',
      '1 ignored',
      '2 brk(NULL) = 0x2000',
      '1 <... munmap resumed>) = 0',
      '1 vfork( <unfinished ...>',
      '3 brk(NULL) = 0x3000',
      '1 <... vfork resumed>) = 3',
    );
    expect(calls.map(({ pid, name, line }) => [pid, name, line])).toEqual([
      [2, 'brk', 3],
      [1, 'munmap', 1],
      [1, 'vfork', 5],
      [3, 'brk', 6],
    ]);
  });

  it('counts what is of no interest', () => {
    const { skipped, lines } = read(
      '1 write(1, "x", 1) = 1',
      '1 write(1, "y", 1) = 1',
      'hello',
      '1 brk(NULL) = 0x1000',
    );
    expect(skipped).toEqual({ write: 2, other: 1 });
    expect(lines).toBe(4);
  });

  it('a call that is resumed but never began is refused, with its place', () => {
    expect(() => read('1 brk(NULL) = 0x1000', '1 <... munmap resumed>) = 0')).toThrow(UsageError);
    expect(() => read('1 brk(NULL) = 0x1000', '1 <... munmap resumed>) = 0')).toThrow(/^f:2: munmap of pid 1/);
  });
});
