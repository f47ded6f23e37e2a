/** How a failing execution is to be told on this terminal. */

import type { Telling } from '../../stress/hunt/tellRun.ts';
import type { ColorMode } from './options.ts';
import { colorsFor } from './output.ts';

/** Executions that cutting a failing schedule down may take. */
const MINIMISE_EXECUTIONS = 7500;

export interface TellingOptions {
  verbose?: true;
  minimise: boolean;
  color: ColorMode;
}

export function tellingOf({ verbose, color }: Pick<TellingOptions, 'verbose' | 'color'>): Telling {
  const { columns } = process.stdout as { columns?: number };
  return { full: verbose === true, columns, color: colorsFor(process.stdout, color).isColorSupported };
}

/** What an exploration does with a finding. */
export function findingOptions(options: TellingOptions): { readonly minimise: number; readonly telling: Telling } {
  return { minimise: options.minimise ? MINIMISE_EXECUTIONS : 0, telling: tellingOf(options) };
}
