/** From what the recorder says to states and frame labels: by hand, so that no kernel is needed. */
import { describe, expect, it } from 'vitest';
import { FrameNames } from '../../src/conform/live/frameNames.ts';
import { lettersOf, readAnswer, vmaOf, type RawPage, type RawStep } from '../../src/conform/live/observation.ts';
import { readAction } from '../../src/conform/readAction.ts';
import type { Action } from '../../src/conform/traceFormat.ts';

const step = (record: Record<string, unknown>): Action => readAction({ p: 0, ...record }, 'step');
const MMAP = step({ op: 'mmap', at: 4, len: 2, prot: 'rw', flags: ['fixed', 'populate'] });
const ANON = '5808';
const EXCLUSIVE = '400005808';
const KSM = '205808';

type Steps = [action: Action, result: number | string, entries: string[]][];

/** An answer with these entries: `process:page pfn`, `k` behind a KSM page; those of one process together. */
function answer(action: Action, result: number | string, entries: readonly string[]): RawStep {
  const lines = [typeof result === 'number' ? `r n ${result.toString(16)}` : 'r e c'];
  let last = '';
  for (const entry of entries) {
    const [, p, page, pfn, ksm] = /^(\d):(\d+) (\w+?)(k?)$/.exec(entry)!;
    if (p !== last) lines.push(`P ${p}`);
    last = p;
    lines.push(`M ${Number(page).toString(16)} ${pfn} 1 ${ksm === 'k' ? KSM : ANON} 8000000000000000 40`);
  }
  return readAnswer(lines, action);
}

/** Follows steps; returns the name of each entry after the last. */
function namesAfter(...steps: Steps): string[] {
  const frames = new FrameNames();
  for (const [action, result, entries] of steps) frames.follow(action, answer(action, result, entries));
  const [, , entries] = steps[steps.length - 1];
  return entries.map((entry) => {
    const [p, page] = entry.split(' ')[0].split(':').map(Number);
    return String(frames.nameAt(p, page));
  });
}

const write = step({ op: 'write', at: 4, val: 64 });
const at4 = 0x7f00_0000_4000;

describe('frames of a recording', () => {
  it('an entry that was not touched keeps its frame, a new frame number is a new frame', () => {
    expect(namesAfter([write, 0, ['0:4 a']], [write, 0, ['0:4 a', '0:5 b']])).toEqual(['0', '1']);
    expect(namesAfter([write, 0, ['0:4 a']], [write, 0, ['0:4 b']])).toEqual(['1']);
  });

  it('what a mapping was populated with is new, although the frame that was freed is used again', () => {
    expect(namesAfter([write, 0, ['0:4 a']], [MMAP, at4, ['0:4 a', '0:5 b']])).toEqual(['1', '2']);
    expect(namesAfter([write, 0, ['0:4 a']], [MMAP, 'EEXIST', ['0:4 a']])).toEqual(['0']);
  });

  it('mremap carries frames along, also the part of a batch that failed', () => {
    const move = step({ op: 'mremap', at: 4, len: 2, new: 2, flags: ['maymove', 'fixed'], to: 8 });
    expect(namesAfter([write, 0, ['0:4 a', '0:5 b']], [move, 0x7f00_0000_8000, ['0:8 a', '0:9 b']])).toEqual([
      '0',
      '1',
    ]);
    expect(namesAfter([write, 0, ['0:4 a', '0:5 b']], [move, 'EFAULT', ['0:5 b', '0:8 a']])).toEqual(['1', '0']);
  });

  it('behind the old length of what grew there are new frames', () => {
    const grow = step({ op: 'mremap', at: 4, len: 1, new: 2, flags: ['maymove', 'fixed'], to: 8 });
    expect(namesAfter([write, 0, ['0:4 a', '0:9 c']], [grow, 0x7f00_0000_8000, ['0:8 a', '0:9 c']])).toEqual([
      '0',
      '2',
    ]);
  });

  it('a child has the frames of its parent, or copies', () => {
    const fork = step({ op: 'fork', child: 1 });
    const names = namesAfter([write, 0, ['0:4 a', '0:5 b']], [fork, 1, ['0:4 a', '0:5 b', '1:4 a', '1:5 c']]);
    expect(names).toEqual(['0', '1', '0', '2']);
  });

  it('a page that becomes a KSM page is a new frame, and so is one that stops being one', () => {
    const ksm = readAction({ op: 'ksm' }, 'step');
    expect(namesAfter([write, 0, ['0:4 a', '0:5 b']], [ksm, 0, ['0:4 ak', '0:5 ak']])).toEqual(['2', '2']);
    expect(namesAfter([ksm, 0, ['0:4 ak']], [write, 0, ['0:4 a']])).toEqual(['1']);
  });
});

describe('answers of the recorder', () => {
  const page = (flags: string, map: string): RawPage => {
    const { processes } = readAnswer(['r n 0', 'P 0', `M 4 a 1 ${flags} ${map} 40`], write);
    return processes.get(0)!.pages[0];
  };

  it('results, by the kind of step', () => {
    expect(readAnswer(['r n 7f0000004000'], MMAP).result).toBe(4);
    expect(readAnswer(['r e b'], MMAP).result).toBe('EAGAIN');
    expect(readAnswer(['r s 2'], write).result).toBe('segv_accerr');
    expect(() => readAnswer(['P 0'], write)).toThrow('no result');
    expect(() => readAnswer(['hello'], write)).toThrow("said 'hello'");
  });

  it('letters of private, shared, KSM and huge pages', () => {
    expect(lettersOf(page(EXCLUSIVE, '8100000000000000'))).toBe('xe');
    expect(lettersOf(page(ANON, '8000000000000000'))).toBe('');
    expect(lettersOf(page(KSM, '8100000000000000'))).toBe('xk');
    expect(lettersOf(page('4838', 'a100000000000000'))).toBe('xs');
    expect(lettersOf(page('400029828', '8100000000000000'))).toBe('xeh');
  });

  it('VMAs with the flags of the format, objects by inode', () => {
    const answer = readAnswer(
      ['r n 0', 'P 0', 'V 4 6 rw-s 2 1f rd wr sh mr ac sd', 'V 8 9 r--p 0 0 rd mr mw me'],
      write,
    );
    expect(answer.processes.get(0)!.vmas.map(vmaOf)).toEqual([
      { start: 4, end: 6, perms: 'rw-s', flags: 'ac', object: '1f', offset: 2 },
      { start: 8, end: 9, perms: 'r--p', flags: '', object: null, offset: null },
    ]);
  });
});
