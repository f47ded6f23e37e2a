/** Partial-order reduction against numbers of executions on which several published tools agree. */
import { describe, expect, it } from 'vitest';
import { explore, type Program } from '../../src/explore/explore.ts';
import { dporStrategy } from '../../src/explore/dporStrategy.ts';
import type { World } from '../../src/explore/world.ts';
import { explored } from '../support/simTest.ts';
import { lostUpdates, readersAndWriter, twoLocks, twoPreemptions } from './knownPrograms.ts';

/** Executions, those of them that ended in a deadlock, and those that were given up on the way. */
function count<T, W extends World<T>>(program: Program<T, W>): [number, number, number] {
  const strategy = dporStrategy();
  const { verdicts, executions } = explore({ ...program, strategy, executions: 1_000_000, keepGoing: true });
  expect(strategy.coverage?.()).toEqual({ verdict: 'proved' });
  return [executions - verdicts.pruned, verdicts.deadlock, verdicts.pruned];
}

describe.runIf(explored)('partial-order reduction: exactly one execution of each kind', () => {
  it('two locks in the same order: 2', () => expect(count(twoLocks(false))).toEqual([2, 0, 0]));
  it('two locks crossed: 3, one of them a deadlock', () => expect(count(twoLocks(true))).toEqual([3, 1, 0]));

  it.each([
    [2, 34],
    [3, 328],
    [4, 3334],
    [5, 34_904],
  ])('P2(%i): %i', (rounds, executions) => expect(count(lostUpdates(rounds))).toEqual([executions, 0, 0]));

  it('three threads of P2(2): 7134', () => expect(count(lostUpdates(2, 3))).toEqual([7134, 0, 0]));

  it.each([0, 8, 16])('P4(%i): 6', (pads) => expect(count(twoPreemptions(pads, false))).toEqual([6, 0, 0]));

  it('readers and a writer: 4, the least there can be', () => {
    expect(count(readersAndWriter(false))).toEqual([4, 0, 0]);
  });
});
