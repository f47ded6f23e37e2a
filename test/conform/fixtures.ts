/** Where the recorded traces of the tests are. */
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance');
/** Recorded on Linux 6.18: a part of each family. */
export const TRACES = join(FIXTURES, 'traces');
/** One thing wrong in each. */
export const BROKEN = join(FIXTURES, 'broken');
/** Well formed, but no kernel would do this. */
export const DIVERGENT = join(FIXTURES, 'divergent');
