/** Every case of one thread, in the order of the table. */

import type { BenchCase } from './case.ts';
import { CONFORM_CASES } from './cases/conform.ts';
import { LOCK_CASES } from './cases/locks.ts';
import { MM_CASES } from './cases/mm.ts';

export const CASES: readonly BenchCase[] = [...LOCK_CASES, ...MM_CASES, ...CONFORM_CASES];
