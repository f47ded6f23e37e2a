/** What a failed exploration throws in a test: the finding, its evidence, and the schedule that repeats it. */

import type { Failure } from '../../src/explore/explore.ts';
import { encodeSchedule } from '../../src/explore/schedule.ts';

export function failureOf(failure: Failure): Error {
  const { violations, schedule, execution, seed, thrown } = failure;
  // A failed expectation speaks for itself.
  if (thrown instanceof Error && schedule.tasks === 1) return thrown;
  const [first] = violations;
  const lines = [
    first.title,
    ...first.evidence.map((line) => `  ${line}`),
    `  execution ${execution} of seed ${seed}, schedule ${encodeSchedule(schedule)}`,
  ];
  return new Error(lines.join('\n'), { cause: thrown });
}
