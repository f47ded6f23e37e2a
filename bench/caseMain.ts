/** Process entry: measures one case with tinybench and prints its figure as one line of JSON. */

import { Bench } from 'tinybench';
import { CASES } from './allCases.ts';
import { EXPLORE_ROWS } from './cases/explore.ts';
import type { measureExploring } from './explorePrograms.ts';
import { ASYNC_MUTEX_CASE, asyncMutexChain } from './cases/asyncMutex.ts';
import type { BenchCase, CaseFigure, Measured } from './case.ts';
import { rawPairNs } from './floor.ts';

const FLOOR_ROUNDS = 200;
/** Another flavour of the build: what runs under the scheduler. */
const EXPLORE_PROGRAMS = new URL('../explored/explorePrograms.mjs', import.meta.url).href;

async function measure(name: string, timeMs: number): Promise<CaseFigure> {
  const floorBefore = rawPairNs(FLOOR_ROUNDS);
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 4 });
  const batch = await addCase(bench, name);
  await bench.run();
  const { result } = bench.tasks[0];
  if (result.state !== 'completed') throw new Error(`the case '${name}' did not complete: ${result.state}`);
  const { min, p50, samplesCount } = result.latency;
  return {
    name,
    minNs: (min * 1e6) / batch,
    medianNs: (p50 * 1e6) / batch,
    samples: samplesCount,
    floorNs: Math.min(floorBefore, rawPairNs(FLOOR_ROUNDS)),
  };
}

/** Adds the case's task; returns units per call. */
async function addCase(bench: Bench, name: string): Promise<number> {
  if (name === ASYNC_MUTEX_CASE.name) {
    bench.add(name, asyncMutexChain());
    return ASYNC_MUTEX_CASE.batch;
  }
  const found = await findCase(name);
  if (found === undefined) throw new Error(`no benchmark case '${name}'`);
  const { run, reset } = found.setup();
  bench.add(name, run, reset === undefined ? {} : { afterEach: reset });
  return found.batch;
}

async function findCase(name: string): Promise<BenchCase | undefined> {
  const row = EXPLORE_ROWS.find((candidate) => candidate.name === name);
  if (row === undefined) return CASES.find((candidate) => candidate.name === name);
  const programs = (await import(EXPLORE_PROGRAMS)) as { measureExploring: typeof measureExploring };
  return { ...row, setup: (): Measured => programs.measureExploring(row) };
}

const [, , name = '', timeMs = '400'] = process.argv;
process.stdout.write(`${JSON.stringify(await measure(name, Number(timeMs)))}\n`);
