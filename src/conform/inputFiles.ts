/** From the operands of the command to the trace files they mean. */

import { readdirSync, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../base/usageError.ts';
import { STDIN } from './traceFile.ts';

const SUFFIX = '.jsonl';

/** Files in order; a folder stands for the trace files in it and below, sorted. @throws UsageError */
export function findTraceFiles(operands: readonly string[]): string[] {
  const files = operands.flatMap((operand) => (operand === STDIN ? [STDIN] : filesAt(operand)));
  return [...new Set(files)];
}

function filesAt(path: string): string[] {
  const stats = statAt(path);
  if (!stats.isDirectory()) return [path];
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith(SUFFIX)).map((name) => join(path, name));
  return files.filter((file) => statAt(file).isFile()).sort();
}

function statAt(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(code === 'ENOENT' ? `no such file or folder: ${path}` : `${path}: cannot be read (${code})`);
  }
}
