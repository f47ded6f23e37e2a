/** One thread of sharing.test.ts: nests neighbouring classes, up or down by its number. */
import { parentPort, workerData } from 'node:worker_threads';
import { attachArena } from '../../src/arena/arena.ts';
import { Prng } from '../../src/base/prng.ts';
import { createTask } from '../../src/cpu/task.ts';
import type { LockClassId } from '../../src/layout/ids.ts';
import { LOCK_CLASSES, type LockClass } from '../../src/layout/lockClass.ts';
import { createLockdep } from '../../src/lockdep/lockdep.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';

export interface LearnData {
  readonly buffer: SharedArrayBuffer;
  readonly id: number;
  readonly classCount: number;
  readonly rounds: number;
}

const { buffer, id, classCount, rounds } = workerData as LearnData;
const heap = attachArena(buffer);
const added: LockClass[] = Array.from({ length: classCount }, (_, i) => ({
  name: `class ${String(i).padStart(2, '0')}`,
  family: 'mutex',
  wait: 'sleep',
  source: '',
  rank: 0,
}));
const classes = [...LOCK_CLASSES, ...added];
const hook = createLockdep(heap, (report) => parentPort!.postMessage(report), { classes });
const task = createTask({ heap, id, rules: kernelPreset('linux-7.0').rules, seed: 1, lockdep: hook });
const prng = Prng.fromSeed(id);
const MODE = { read: 0, trylock: false, subclass: 0, nestLock: 0 } as const;

for (let round = 0; round < rounds; round++) {
  const lower = round < classCount - 1 ? round : prng.below(classCount - 1);
  const pair = [lower, lower + 1].map((n) => ({ lock: 7000 + n, cls: (LOCK_CLASSES.length + n) as LockClassId }));
  for (const { lock, cls } of id === 1 ? pair : pair.toReversed()) hook.acquire(task, lock, cls, MODE);
  for (const { lock } of pair) hook.release(task, lock);
}
