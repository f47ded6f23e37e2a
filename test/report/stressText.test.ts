import { expect, test } from 'vitest';
import { STRESS_SCHEMA, type StressDocument } from '../../src/report/stressDocument.ts';
import { formatStress } from '../../src/report/stressText.ts';

const plain = (text: string): string => text;
const COLORS = { bold: plain, dim: plain, red: plain, green: plain };

const DOCUMENT: StressDocument = {
  schema: STRESS_SCHEMA,
  command: 'stress',
  kernel: 'linux-7.0',
  bug: 'vma-adjust-unlocked',
  rules: { 'vmaAdjust.rmapLock': 'none' },
  seed: 7,
  workers: 4,
  mix: 'only,fork=1',
  interrupted: false,
  elapsedMs: 1234,
  ops: {
    fork: { count: 12_345, failed: { ENOMEM: 3, EAGAIN: 1200 }, p50Ns: 950, p99Ns: 12_340, maxNs: 4_560_000 },
    mremap: { count: 0, failed: {}, p50Ns: 0, p99Ns: 0, maxNs: 0 },
  },
  totalOps: 12_345,
  opsPerSecond: 10_004,
  locks: [{ class: '&mm->mmap_lock', acquisitions: 99, contended: 5, waitP99Ns: 1_200_000_000, holdP99Ns: 100 }],
  checks: { 'rmap-reach': 4 },
  injectedFailures: 0,
  findings: [
    {
      kind: 'dangling-migration-entry',
      title: 'dangling migration PTE: page 9 of process 1 still holds a migration entry, and its source is not locked',
      signature: 's',
      evidence: ['entry: migration entry (writable) for pfn 3'],
      id: '0123abcd',
      bug: 'vma-adjust-unlocked: the bad run',
      reference: '012f18004da3',
      reproduce: 'mmstorm stress --seed 7',
    },
  ],
};

test('the report: heading, tables, checks, findings, verdict last', () => {
  expect(formatStress(DOCUMENT, COLORS)).toMatchInlineSnapshot(`
    "stress: linux-7.0 with vma-adjust-unlocked, seed 7, 4 CPUs, 1.2 s

    operation   count  failed                    p50      p99      max
    fork       12,345  ENOMEM 3 EAGAIN 1,200  950 ns  12.3 us  4.56 ms
    mremap          0                           0 ns     0 ns     0 ns
    12,345 operations, 10,004 per second

    lock class      acquired  contended  wait p99  hold p99
    &mm->mmap_lock        99          5    1.20 s    100 ns

    checks: rmap-reach 4

    finding 1 [dangling-migration-entry 0123abcd]: dangling migration PTE: page 9 of process 1 still holds a migration entry, and its source is not locked
        entry: migration entry (writable) for pfn 3
      bug:       vma-adjust-unlocked: the bad run
      reference: 012f18004da3
      reproduce: mmstorm stress --seed 7

    1 finding
    "
  `);
});

test('nothing found', () => {
  const text = formatStress({ ...DOCUMENT, findings: [], interrupted: true, checks: {}, locks: [] }, COLORS);
  expect(text).toContain('(interrupted: partial results)');
  expect(text).toContain('checks: off');
  expect(text.trimEnd().endsWith('nothing found')).toBe(true);
});
