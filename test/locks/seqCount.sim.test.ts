import { expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { SeqCountPtr } from '../../src/layout/ids.ts';
import {
  readSeqcountBegin,
  readSeqcountRetry,
  writeSeqcountBegin,
  writeSeqcountEnd,
} from '../../src/locks/seqCount.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

simTest('seqcount: a reader is told of any writer that overlapped', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const reader = kernel.taskOn(2);
  const seqcount = kernel.words(1) as SeqCountPtr;
  const before = readSeqcountBegin(reader, seqcount);
  expect(before & 1).toBe(0);
  expect(readSeqcountRetry(reader, seqcount, before)).toBe(false);
  writeSeqcountBegin(task, seqcount);
  const inside = readSeqcountBegin(reader, seqcount);
  expect(inside & 1).toBe(1);
  expect(readSeqcountRetry(reader, seqcount, before)).toBe(true);
  writeSeqcountEnd(task, seqcount);
  expect(readSeqcountRetry(reader, seqcount, inside)).toBe(true);
  expect(readSeqcountRetry(reader, seqcount, before)).toBe(true);
});

simTest('seqcount: writers do not nest', (kernel: Kernel): Sim<void> => {
  const seqcount = kernel.words(1) as SeqCountPtr;
  const messages: string[] = [];
  try {
    writeSeqcountEnd(kernel.task, seqcount);
  } catch (error) {
    messages.push(messageOf(error));
  }
  writeSeqcountBegin(kernel.task, seqcount);
  try {
    writeSeqcountBegin(kernel.task, seqcount);
  } catch (error) {
    messages.push(messageOf(error));
  }
  expect(messages).toEqual(['seqcount: write side left twice', 'seqcount: two writers']);
});
