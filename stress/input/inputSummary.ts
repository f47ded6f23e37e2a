/** What a run of a recorded program comes to: what was read, and what the CPUs saw. */

import type { InputResultDocument } from '../../src/report/stressDocument.ts';
import type { CpuResult } from '../run/cpuData.ts';
import type { RecordedInput } from '../run/stressOptions.ts';

const DIFFERENCES_SHOWN = 5;

export function summariseInput({ file, program }: RecordedInput, results: readonly CpuResult[]): InputResultDocument {
  const seen = results.flatMap(({ input }) => (input === null ? [] : [input]));
  const sum = (count: 'agreed' | 'differed'): number => seen.reduce((total, result) => total + result[count], 0);
  return {
    file,
    ...program.summary,
    rounds: Math.max(0, ...seen.map(({ rounds }) => rounds)),
    agreed: sum('agreed'),
    differed: sum('differed'),
    differences: [...new Set(seen.flatMap(({ differences }) => differences))].slice(0, DIFFERENCES_SHOWN),
  };
}
