/** From a trace to a program: who runs in which address space, what is laid out where, what each read must give. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/base/usageError.ts';
import { makeInputProgram, type InputProgram } from '../../stress/input/inputProgram.ts';
import { scheduleProgram } from '../../stress/input/schedule.ts';
import { readStrace } from '../../stress/input/traceFile.ts';

const SAMPLES = join(import.meta.dirname, '../../stress/input/samples');

function program(...lines: string[]): InputProgram {
  return makeInputProgram('f', readStrace('f', lines.join('\n')), 1);
}

/** The steps as short texts, without reads and writes. */
function calls({ steps }: InputProgram): string[] {
  return steps.flatMap(({ thread, space, action }) => {
    if (action.op === 'read' || action.op === 'write') return [];
    const range = 'range' in action ? ` ${action.range.start}-${action.range.end}` : '';
    const to = 'to' in action ? ` to ${action.to.start}-${action.to.end}` : '';
    return [`${thread}@${space} ${action.op}${range}${to}`];
  });
}

const MAP = 'PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0';

describe('layout', () => {
  it('neighbours stay neighbours, long stretches and gaps shrink to 64 pages', () => {
    const made = program(
      `1 mmap(NULL, 4096000, ${MAP}) = 0x10000000`,
      `1 mmap(NULL, 8192, ${MAP}) = 0x103e8000`,
      `1 mmap(NULL, 4096, ${MAP}) = 0x7f0000000000`,
      '1 munmap(0x10000000, 4096) = 0',
    );
    expect(calls(made)).toEqual([
      '0@-1 exec',
      '0@0 mmap 16-81',
      '0@0 mmap 81-83',
      '0@0 mmap 147-148',
      '0@0 munmap 16-17',
      '0@0 end',
    ]);
  });

  it('a heap is a mapping that grows and shrinks', () => {
    const made = program('1 brk(NULL) = 0x1000000', '1 brk(0x1003000) = 0x1003000', '1 brk(0x1001000) = 0x1001000');
    expect(calls(made)).toEqual(['0@-1 exec', '0@0 mmap 16-19', '0@0 munmap 17-19', '0@0 end']);
  });

  it('what a call changes but nothing maps was there from the start', () => {
    const made = program('1 mprotect(0x400000, 8192, PROT_READ) = 0');
    expect(calls(made)).toEqual(['0@-1 exec', '0@0 mmap 16-18', '0@0 mprotect 16-18', '0@0 end']);
    expect(made.summary.unplaced).toBe(0);
  });

  it('what was unmapped before is not put there again: the call is not run', () => {
    const made = program(
      `1 mmap(NULL, 4096, ${MAP}) = 0x10000000`,
      '1 munmap(0x10000000, 4096) = 0',
      '1 madvise(0x10000000, 4096, MADV_DONTNEED) = 0',
    );
    expect(calls(made).filter((call) => call.includes('madvise'))).toEqual([]);
    expect(made.summary.unplaced).toBe(1);
  });
});

describe('processes', () => {
  it('fork copies the address space, threads and vfork share it, exec leaves it', () => {
    const made = program(
      `1 mmap(NULL, 4096, ${MAP}) = 0x10000000`,
      '1 fork() = 2',
      '1 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 3',
      '2 vfork() = 4',
      '4 execve("/x", [], []) = 0',
      '4 +++ exited with 0 +++',
      '2 munmap(0x10000000, 4096) = 0',
    );
    expect(calls(made)).toEqual([
      '0@-1 exec',
      '0@0 mmap 16-17',
      '0@0 fork',
      '0@0 share',
      '1@1 share',
      '3@1 exec',
      '3@2 end',
      '1@1 munmap 16-17',
      '0@0 end',
      '1@1 end',
      '2@0 end',
    ]);
  });

  it('a child reads what the parent had written, and then each its own', () => {
    const { steps } = program(`1 mmap(NULL, 4096, ${MAP}) = 0x10000000`, '1 fork() = 2');
    const touches = steps.flatMap(({ space, action }) => {
      if (action.op === 'write') return [`${space} writes ${action.value}`];
      return action.op === 'read' ? [`${space} reads ${action.expected}`] : [];
    });
    expect(touches).toEqual([
      '0 writes 1',
      '0 writes 2',
      '0 writes 3',
      '1 reads 2',
      '1 writes 4',
      '0 reads 3',
      '1 reads 4',
    ]);
  });

  it('failed calls and questions are not run', () => {
    const made = program(
      `1 mmap(NULL, 4096, ${MAP}) = 0x10000000`,
      '1 munmap(0x10000001, 4096) = -1 EINVAL (Invalid argument)',
      '1 exit_group(0) = ?',
    );
    expect(made.summary).toMatchObject({ withoutEffect: 1, skipped: { exit_group: 1 }, calls: 2 });
  });
});

describe('bad input', () => {
  it.each([
    ['1 mmap(NULL) = 0x1000', /^f:1: mmap: argument 4 is missing$/],
    ['1 munmap(here, 4096) = 0', /^f:1: munmap: argument 1 is no number: 'here'$/],
    ['hello', /^f: no call that changes memory/],
    ['', /^f: no call that changes memory/],
  ])('%s', (text, message) => {
    expect(() => program(text)).toThrow(UsageError);
    expect(() => program(text)).toThrow(message);
  });
});

describe('schedule', () => {
  it('keeps every step once, in order per CPU, and waits only for earlier steps of other CPUs', () => {
    for (const file of readdirSync(SAMPLES).filter((name) => name.endsWith('.strace'))) {
      const made = makeInputProgram(file, readStrace(file, readFileSync(join(SAMPLES, file), 'utf8')), 1);
      expect(made.summary.unplaced).toBe(0);
      const perCpu = scheduleProgram(made, 3);
      const cpuOf = new Map(perCpu.flatMap((steps, cpu) => steps.map(({ index }) => [index, cpu] as const)));
      expect([...cpuOf.keys()].sort((a, b) => a - b)).toEqual(made.steps.map((_, index) => index));
      for (const [cpu, steps] of perCpu.entries()) {
        expect(steps.map(({ index }) => index)).toEqual(steps.map(({ index }) => index).sort((a, b) => a - b));
        for (const { index, after } of steps) {
          for (const earlier of after) expect(earlier < index && cpuOf.get(earlier) !== cpu).toBe(true);
        }
      }
    }
  });

  it('threads of one address space keep the order of what overlaps, and only that', () => {
    const made = program(
      `1 mmap(NULL, 4096, ${MAP}) = 0x10000000`,
      '1 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 2',
      `2 mmap(NULL, 4096, ${MAP}) = 0x20000000`,
      '1 munmap(0x20000000, 4096) = 0',
    );
    const [first, second] = scheduleProgram(made, 2);
    const indexOf = (cpu: typeof first, op: string) => cpu.find(({ action }) => action.op === op)!;
    expect(indexOf(second, 'mmap').after).toEqual([indexOf(first, 'share').index]);
    const munmap = indexOf(first, 'munmap');
    const lastTouch = second.filter(({ index, action }) => 'range' in action && index < munmap.index).at(-1)!;
    expect(munmap.after).toEqual([lastTouch.index]);
    expect(indexOf(first, 'write').after).toEqual([]);
  });
});
