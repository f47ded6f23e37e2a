import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { isContained, orderOf } from '../../src/conform/live/orders.ts';
import { randomScripts, type HostLimits } from '../../src/conform/live/scripts.ts';
import { FAMILIES } from '../../src/conform/random/families.ts';
import { generateSteps } from '../../src/conform/random/generate.ts';
import { readAction } from '../../src/conform/readAction.ts';
import { renumber } from '../../src/conform/minimise.ts';
import { writeAction } from '../../src/conform/writeAction.ts';

const CASES = 60;
const LIMITS: HostLimits = { memlock: 64, pins: 8, ksm: 'no KSM here', hugePages: null };

describe.each(FAMILIES)('random cases of $name', (family) => {
  const cases = Array.from({ length: CASES }, (_, n) => generateSteps(Prng.fromSeed(7, n), family, isContained));

  it('are steps that a trace file can hold', () => {
    for (const action of cases.flat()) expect(readAction(writeAction(action), 'step')).toEqual(action);
  });

  it('name only processes that live, as a recording needs', () => {
    for (const actions of cases) expect(renumber(actions)).toEqual(actions);
  });

  it('come from the seed alone, and make use of every kind of step', () => {
    expect(generateSteps(Prng.fromSeed(7, 3), family, isContained)).toEqual(cases[3]);
    const ops = new Set(cases.flat().map(({ op }) => op));
    expect(ops.size).toBeGreaterThanOrEqual(6);
    expect(cases.every((actions) => actions.length >= family.minSteps)).toBe(true);
  });
});

describe('scripts of a live run', () => {
  const families = FAMILIES.filter(({ name }) => ['ksm', 'pin-fork'].includes(name));

  it('leave out what the host cannot do, and count it', () => {
    const leftOut = new Map<string, number>();
    const limits = { ...LIMITS, pins: 0 };
    const scripts = [...randomScripts({ families, seed: 1, cases: 20, limits, caseId: null, leftOut })];
    const ops = new Set(scripts.flatMap(({ actions }) => actions.map(({ op }) => op)));
    expect(ops.has('ksm') || ops.has('pin')).toBe(false);
    expect(leftOut.get('io_uring is not allowed on this host, so nothing can be pinned')).toBeGreaterThan(0);
    expect(scripts.map(({ family }) => family).slice(0, 4)).toEqual(['pin-fork', 'ksm', 'pin-fork', 'ksm']);
    expect(new Set(scripts.map(({ id }) => id)).size).toBe(20);
  });
});

describe('orders to the recorder', () => {
  const order = (step: Record<string, unknown>): string => orderOf(readAction({ p: 1, ...step }, 'step'));

  it('system calls by numbers', () => {
    expect(order({ op: 'mmap', at: 3, len: '1+5', prot: 'rw', flags: ['fixed', 'populate'] })).toBe(
      'mmap 1 7f0000003000 1005 3 8032',
    );
    expect(order({ op: 'mmap', len: 1, prot: 'none', shared: 1 })).toBe('mmap 1 0 1000 0 21');
    expect(order({ op: 'mremap', at: '2+1', len: '@ffffffffffffffff', new: 1, flags: ['maymove', 'bad8'] })).toBe(
      'mremap 1 7f0000002001 ffffffffffffffff 1000 9 0',
    );
    expect(order({ op: 'madvise', at: 0, len: 1, advice: 'populate_write' })).toBe('madvise 1 7f0000000000 1000 17');
    expect(order({ op: 'write', at: 4095, val: 200 })).toBe('write 1 7f0000fff000 c8');
    expect(order({ op: 'pin', at: 1, len: 2, id: 5 })).toBe('pin 1 7f0000001000 2000 5');
    expect(order({ op: 'ksm' })).toBe('ksm 0');
  });

  it.each<[step: Record<string, unknown>, contained: boolean]>([
    [{ op: 'munmap', at: 4000, len: 96 }, true],
    [{ op: 'munmap', at: 4000, len: 97 }, false],
    [{ op: 'munmap', at: '@0', len: 1 }, false],
    [{ op: 'munmap', at: 0, len: '@ffffffffffffffff' }, true],
    [{ op: 'munmap', at: '@7ffffffff000', len: 1 }, true],
    [{ op: 'mprotect', at: 0, len: '@f000000000', prot: 'r' }, false],
    [{ op: 'mprotect', at: 0, len: '@7ffffffff000', prot: 'r' }, false],
    [{ op: 'munmap', at: 0, len: '@7ffffffff000' }, true],
    [{ op: 'mlock', at: 1, len: '@ffffffffffffffff' }, true],
    [{ op: 'mmap', at: '@400000', len: 1, prot: 'r' }, true],
    [{ op: 'mmap', at: '@400000', len: 1, prot: 'r', flags: ['fixed'] }, false],
    [{ op: 'mremap', at: 0, len: 1, new: 1, flags: ['maymove', 'fixed'], to: 4096 }, false],
    [{ op: 'mremap', at: 0, len: 1, new: 1, flags: ['maymove'], to: 4096 }, true],
    [{ op: 'mremap', at: 4095, len: 2, new: 1, flags: [] }, false],
    [{ op: 'migrate', at: 0, len: '@ffffffffffffffff' }, false],
    [{ op: 'read', at: 0 }, true],
  ])('%j stays in the window: %s', (step, contained) => {
    expect(isContained(readAction({ p: 0, ...step }, 'step'))).toBe(contained);
  });
});
