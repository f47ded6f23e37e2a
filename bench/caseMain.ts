/** Process entry: measures one case with tinybench and prints its figure as one line of JSON. */

import { Bench } from 'tinybench';
import { CASES } from './allCases.ts';
import { ASYNC_MUTEX_CASE, asyncMutexChain } from './cases/asyncMutex.ts';
import type { BenchCase, CaseFigure } from './case.ts';
import { rawPairNs } from './floor.ts';

const FLOOR_ROUNDS = 200;

async function measure(name: string, timeMs: number): Promise<CaseFigure> {
  const floorBefore = rawPairNs(FLOOR_ROUNDS);
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 4 });
  const batch = addCase(bench, name);
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
function addCase(bench: Bench, name: string): number {
  if (name === ASYNC_MUTEX_CASE.name) {
    bench.add(name, asyncMutexChain());
    return ASYNC_MUTEX_CASE.batch;
  }
  const found: BenchCase | undefined = CASES.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no benchmark case '${name}'`);
  const { run, reset } = found.setup();
  bench.add(name, run, reset === undefined ? {} : { afterEach: reset });
  return found.batch;
}

const [, , name = '', timeMs = '400'] = process.argv;
process.stdout.write(`${JSON.stringify(await measure(name, Number(timeMs)))}\n`);
