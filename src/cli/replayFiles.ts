/** Where findings are kept: `.mmstorm/` in the working folder, a file each, and the name of the last replay. */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseFinding, type FindingDocument, type FoundScene } from '../../stress/hunt/findingDocument.ts';
import { parseReplay, type ReplayDocument } from '../../stress/hunt/replayDocument.ts';
import { UsageError } from '../base/usageError.ts';
import { jsonText } from './output.ts';
import { writeWhole } from './outputFile.ts';

const FOLDER = '.mmstorm';
const LAST = join(FOLDER, 'last-replay');

/** Name of the file for a finding of a program. */
export function replayName(program: string, findingId: string): string {
  return join(FOLDER, `${program}-${findingId}.replay.json`);
}

/** Writes the file whole or not at all, and remembers it as the last one. @throws UsageError */
export function writeReplay(file: string, document: ReplayDocument): void {
  writeArtifact(file, document);
  writeWhole(LAST, `${file}\n`);
}

/** Name of the file for a finding of a stress run. */
function findingName(findingId: string): string {
  return join(FOLDER, `stress-${findingId}.finding.json`);
}

/** Writes a finding of a stress run with its scene. @returns name of the file @throws UsageError */
export function writeFinding(document: FindingDocument): string {
  const file = findingName(document.finding.id);
  writeArtifact(file, document);
  return file;
}

/** Reads a finding with its scene. @throws UsageError naming file, field and reason */
export function readFinding(file: string): FoundScene {
  return parseFinding(readText(file), file);
}

function writeArtifact(file: string, document: object): void {
  try {
    mkdirSync(FOLDER, { recursive: true });
  } catch (error) {
    throw new UsageError(`cannot make the folder '${FOLDER}': ${(error as Error).message}`);
  }
  writeWhole(file, jsonText(document));
}

/** Reads a replay file, the last one when none is named. @throws UsageError naming file, field and reason */
export function readReplay(named: string | undefined): { readonly file: string; readonly document: ReplayDocument } {
  const file = named ?? lastReplay();
  return { file, document: parseReplay(readText(file), file) };
}

function lastReplay(): string {
  let file: string;
  try {
    file = readFileSync(LAST, 'utf8').trim();
  } catch {
    throw new UsageError(`no file given, and no finding was recorded in '${FOLDER}' yet`);
  }
  if (file === '') throw new UsageError(`'${LAST}' is empty: name a replay file`);
  return file;
}

function readText(file: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new UsageError(`cannot read '${file}': ${(error as Error).message}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${file}: it is not UTF-8 text`);
  }
}
