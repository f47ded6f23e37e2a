/**
 * How the simulated mm scales from one thread to two, beside what the machine gives to two loops that share nothing: the
 * machines are shared and have two cores at best, so only the quotient of the two factors says something.
 */

import { Piscina } from 'piscina';
import type { MmPtr, Vpn } from '../src/layout/ids.ts';
import { mmAlloc } from '../src/mm/mmStruct.ts';
import { setMmapWindow } from '../src/mm/userSpace.ts';
import { ROUND_PAGES, type ScalingData } from './scalingWork.ts';
import { WINDOW, createWorld } from './world.ts';

const ROUNDS = 5;
const PHASE_MS = 300;

type Kind = 'raw' | 'separate' | 'shared';
const KINDS: readonly Kind[] = ['raw', 'separate', 'shared'];

export interface ScalingFigure {
  readonly kind: Kind;
  /** Best rate of one thread and of two together, in rounds per second. */
  readonly one: number;
  readonly two: number;
  /** two / one. */
  readonly factor: number;
  /** This factor over that of the raw loops. */
  readonly againstRaw: number;
}

/** Pages that a round of the mm maps, writes and unmaps. */
export const PAGES_PER_ROUND = ROUND_PAGES;

/** Runs all phases in turn, several times, and keeps the best of each. @param worker bundle of workers/benchWorker.ts */
export async function measureScaling(worker: URL, rounds = ROUNDS, phaseMs = PHASE_MS): Promise<ScalingFigure[]> {
  const pool = new Piscina({
    filename: worker.href,
    minThreads: 2,
    maxThreads: 2,
    concurrentTasksPerWorker: 1,
    idleTimeout: Infinity,
    atomics: 'disabled',
  });
  const best = new Map<string, number>();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const kind of KINDS) {
        for (const threads of [1, 2]) {
          const rate = await phase(pool, kind, threads, phaseMs);
          const key = `${kind} ${threads}`;
          best.set(key, Math.max(best.get(key) ?? 0, rate));
        }
      }
    }
  } finally {
    await pool.destroy();
  }
  return figures(best);
}

/** One phase on fresh memory; the rate of all its threads together. */
async function phase(pool: Piscina, kind: Kind, threads: number, durationMs: number): Promise<number> {
  const gate = new SharedArrayBuffer(4);
  const world = createWorld();
  const mms = [world.mm, kind === 'separate' ? secondMm(world) : world.mm];
  const raw = new SharedArrayBuffer(4096);
  const running = Array.from({ length: threads }, (_, id) => {
    const data: ScalingData = {
      kind: kind === 'raw' ? 'raw' : 'mm',
      buffer: kind === 'raw' ? raw : world.heap.buffer,
      gate,
      threads,
      id,
      mm: mms[id],
      durationMs,
    };
    return pool.run(data) as Promise<number>;
  });
  return (await Promise.all(running)).reduce((sum, rate) => sum + rate, 0);
}

function secondMm({ task }: ReturnType<typeof createWorld>): MmPtr {
  const mm = mmAlloc(task);
  setMmapWindow(task, mm, 0 as Vpn, WINDOW as Vpn);
  return mm;
}

function figures(best: ReadonlyMap<string, number>): ScalingFigure[] {
  const factor = (kind: Kind): number => best.get(`${kind} 2`)! / best.get(`${kind} 1`)!;
  return KINDS.map((kind) => ({
    kind,
    one: best.get(`${kind} 1`)!,
    two: best.get(`${kind} 2`)!,
    factor: factor(kind),
    againstRaw: factor(kind) / factor('raw'),
  }));
}
