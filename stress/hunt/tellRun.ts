/** How a failing execution is told: run once more with everything written down, then a story and a timeline. */

import pc from 'picocolors';
import type { Task } from '../../src/cpu/task.ts';
import { explain } from '../../src/explore/explain.ts';
import type { Program } from '../../src/explore/explore.ts';
import type { MachineWorld } from '../../src/explore/machineWorld.ts';
import type { Schedule } from '../../src/explore/schedule.ts';
import { storyLines } from '../../src/report/story.ts';
import { timelineLines } from '../../src/report/timeline.ts';

/** What a telling looks like. */
export interface Telling {
  /** Every access, not only those that matter. */
  readonly full: boolean;
  /** Of the terminal; absent where there is none. */
  readonly columns?: number | undefined;
  readonly color: boolean;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDE';
const [NARROW, WIDE] = [80, 120];

/** The lines: who is who, what happened, step by step. */
export function tellRun(
  program: Program<Task, MachineWorld>,
  schedule: Schedule,
  roles: readonly string[],
  { full, columns = WIDE, color }: Telling,
): string[] {
  const trace = explain(program, schedule);
  const width = Math.min(WIDE, Math.max(NARROW, columns));
  const timeline = timelineLines(trace, {
    form: full ? 'full' : 'short',
    columns: width,
    roles,
    colors: pc.createColors(color),
  });
  const cast = roles.map((role, index) => `  thread ${LETTERS[index]}:  ${role}`);
  return [...cast, '', ...storyLines(trace, width).map((line) => `  ${line}`), '', ...timeline];
}
