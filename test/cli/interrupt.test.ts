/** Ctrl-C stops a run softly and becomes its exit code. */
import { expect, it } from 'vitest';
import { interruptible } from '../../src/cli/interrupt.ts';

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s: the work is asked to stop and its partial result is kept', async (signal, code) => {
  const before = process.listenerCount(signal);
  let stopped = 0;
  const outcome = await interruptible(
    () => stopped++,
    async () => {
      process.emit(signal, signal);
      return `${stopped} of 2`;
    },
  );
  expect(outcome).toEqual({ result: '1 of 2', signalled: code });
  expect(process.listenerCount(signal)).toBe(before);
});

it('without a signal there is no exit code of one', async () => {
  expect(
    await interruptible(
      () => {},
      async () => 7,
    ),
  ).toEqual({ result: 7, signalled: undefined });
});
