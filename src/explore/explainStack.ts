/**
 * Where the running task is: the kernel functions on the JavaScript stack. A coroutine that was resumed through its
 * callers has all of them on the stack. Captured at each access of an execution that is explained, read only where it is
 * shown.
 *
 * Test runners and `node --enable-source-maps` give places of the source; a place in a bundle is looked up in the source
 * map beside it.
 */

import { existsSync, readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Frame, Stack } from '../report/trace.ts';

/** Two per function: the call and the coroutine's resumption. */
const COLLECTED_FRAMES = 120;
const FRAME = /^\s*at (?:(?:async |new )?(.*?) \()?(.*?):(\d+):(\d+)\)?$/;
const PROJECT_PATH = /(?:^|\/)((?:src|workers|stress|bench|test)\/[^?]*)/;
/** How memory is accessed, and what resumes coroutines: not what the task does. */
const MACHINERY = /^src\/(?:base|arena|layout|instrument|explore|cpu|check|lockdep|report)\//;
/** Below it on the stack comes whoever runs the explorer. */
const EXPLORER = /^src\/(?:instrument|explore)\//;

/** The stack of the caller. */
export function captureStack(): Stack {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = COLLECTED_FRAMES;
  const error = new Error();
  Error.stackTraceLimit = limit;
  let frames: Frame[] | null = null;
  return () => (frames ??= parseFrames(error.stack ?? ''));
}

/** The project's functions on a V8 stack, innermost first, without those that only carry the others. */
export function parseFrames(stack: string): Frame[] {
  const frames: Frame[] = [];
  for (const line of stack.split('\n').slice(1)) {
    const frame = frameOf(line);
    if (frame === null) continue;
    if (frames.length > 0 && EXPLORER.test(frame.file)) break;
    if (!MACHINERY.test(frame.file)) frames.push(frame);
  }
  return frames;
}

/** Lines read before: the accesses of a run share most of them. */
const known = new Map<string, Frame | null>();

function frameOf(line: string): Frame | null {
  let frame = known.get(line);
  if (frame === undefined) {
    frame = parseFrame(line);
    known.set(line, frame);
  }
  return frame;
}

function parseFrame(line: string): Frame | null {
  const [, name = '', place, lineText, columnText] = FRAME.exec(line) ?? [];
  if (place === undefined || place.includes('node_modules/') || place.startsWith('node:')) return null;
  const file = place.startsWith('file:') ? fileURLToPath(place) : place;
  const mapped = originalPlace(file, Number(lineText), Number(columnText));
  const path = PROJECT_PATH.exec(mapped.file)?.[1];
  if (path === undefined) return null;
  return { name: functionName(name), file: path, line: mapped.line };
}

/** A function's own name: without its object, and without the number by which a bundler tells two of a name apart. */
function functionName(name: string): string {
  return name === '' ? '(anonymous)' : name.replace(/^.*\./, '').replace(/\$\d+$/, '');
}

const maps = new Map<string, SourceMap | null>();

/** Place in the source of a place in a bundle; the place itself if it has no map. */
function originalPlace(file: string, line: number, column: number): { file: string; line: number } {
  const map = mapOf(file);
  if (map === null) return { file, line };
  const entry = map.findEntry(line - 1, column - 1);
  if (!('originalSource' in entry)) return { file, line };
  return { file: resolve(dirname(file), entry.originalSource), line: entry.originalLine + 1 };
}

function mapOf(file: string): SourceMap | null {
  let map = maps.get(file);
  if (map === undefined) {
    const beside = `${file}.map`;
    map = file.endsWith('.mjs') && existsSync(beside) ? new SourceMap(readMap(beside)) : null;
    maps.set(file, map);
  }
  return map;
}

function readMap(file: string): SourceMapPayload {
  return JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload;
}
