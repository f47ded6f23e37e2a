/** Exploring little programs: executions of the library that others use. Measured in the explored build. */

export interface ExploreRow {
  readonly name: string;
  readonly group: 'explore';
  readonly unit: 'execution';
  readonly batch: number;
  readonly program: 'P1ok' | 'P2(2)' | 'P2(3)' | 'P2(5)' | 'P3ok' | 'P4(16)';
  readonly strategy: 'dfs' | 'random' | 'urw' | 'dpor';
}

const PROGRAMS = ['P1ok', 'P2(2)', 'P2(3)', 'P3ok', 'P4(16)'] as const;
const STRATEGIES = ['dfs', 'random', 'urw', 'dpor'] as const;

const BATCH = 2000;

/** Every row, programs first. P2(5) is long enough for the reduction to be at its steady pace. */
export const EXPLORE_ROWS: readonly ExploreRow[] = [
  ...PROGRAMS.flatMap((program) => STRATEGIES.map((strategy) => row(program, strategy))),
  row('P2(5)', 'dpor'),
];

function row(program: ExploreRow['program'], strategy: ExploreRow['strategy']): ExploreRow {
  return {
    name: `explore ${program} ${strategy}`,
    group: 'explore',
    unit: 'execution',
    batch: BATCH,
    program,
    strategy,
  };
}
