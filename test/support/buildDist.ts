/** Global set-up of the tests of what the build made: an up-to-date `dist`. Without it only the tests that need it fail. */
import type { TestProject } from 'vitest/node';
import { buildAll } from '../../scripts/lib/buildAll.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Why there is no current `dist`, or an empty string. */
    buildError: string;
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const error = await buildAll().then(
    () => '',
    (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)),
  );
  project.provide('buildError', error);
}
