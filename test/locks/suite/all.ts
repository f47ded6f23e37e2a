/** Every program of the suite. */

import { FOLIO_PROGRAMS } from './folioPrograms.ts';
import { MUTEX_PROGRAMS } from './mutexPrograms.ts';
import type { LockProgram } from './program.ts';
import { RCU_PROGRAMS } from './rcuPrograms.ts';
import { RWSEM_PROGRAMS } from './rwSemPrograms.ts';
import { SECTION_PROGRAMS } from './sections.ts';
import { VMA_PROGRAMS } from './vmaPrograms.ts';

export const LOCK_PROGRAMS: readonly LockProgram[] = [
  ...SECTION_PROGRAMS,
  ...RWSEM_PROGRAMS,
  ...MUTEX_PROGRAMS,
  ...FOLIO_PROGRAMS,
  ...RCU_PROGRAMS,
  ...VMA_PROGRAMS,
];
