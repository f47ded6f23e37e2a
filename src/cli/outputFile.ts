/** The file of `-o`: refused before any work when it cannot be written, and never left half written. */
import { closeSync, openSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { UsageError } from '../base/usageError.ts';

/** Throws unless `file` can be written; leaves nothing behind. Returns `file`. */
export function checkOutputFile(file: string): string {
  try {
    if (isOrdinary(file)) probe(file);
  } catch (error) {
    throw new InvalidArgumentError(`It cannot be written: ${reason(error)}.`);
  }
  return file;
}

/** Replaces `file` by `text` at once: readers see the old contents or the new, never a part. @throws UsageError */
export function writeWhole(file: string, text: string): void {
  try {
    if (isOrdinary(file)) replace(resolveLinks(file), text);
    else writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`cannot write '${file}': ${reason(error)}`);
  }
}

function replace(file: string, text: string): void {
  const temporary = temporaryName(file);
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** False for a device or a pipe: those are written to, not replaced. Throws for a folder or an empty name. */
function isOrdinary(file: string): boolean {
  if (file === '') throw new Error('the name is empty');
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats?.isDirectory()) throw new Error('it is a folder');
  return stats === undefined || stats.isFile();
}

function probe(file: string): void {
  const temporary = temporaryName(resolveLinks(file));
  closeSync(openSync(temporary, 'wx'));
  rmSync(temporary);
}

function resolveLinks(file: string): string {
  return statSync(file, { throwIfNoEntry: false }) === undefined ? file : realpathSync(file);
}

function temporaryName(file: string): string {
  return join(dirname(file), `.${basename(file)}.${process.pid}.tmp`);
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known: Record<string, string> = {
    ENOENT: 'the folder does not exist',
    ENOTDIR: 'the folder is not a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the file system is read-only',
    ENAMETOOLONG: 'the name is too long',
  };
  return (code !== undefined && known[code]) || message;
}
