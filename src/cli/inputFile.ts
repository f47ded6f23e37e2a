/** Text files that a command reads whole. */

import { readFileSync } from 'node:fs';
import { UsageError } from '../base/usageError.ts';

/** The text of a file; `-` is standard input. @throws UsageError naming the file and why it cannot be read */
export function readInputFile(file: string): string {
  try {
    return readFileSync(file === '-' ? process.stdin.fd : file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
