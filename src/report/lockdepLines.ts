/** Single lines of lockdep's reports: a lock, a place, a task. */

import type { LockLine } from '../lockdep/report.ts';
import { callerFrame } from '../lockdep/trace.ts';

/** Reports are read in terminals and in review: no line is longer. */
const MAX_COLUMNS = 120;

/** Name of an operation code. */
export type OpNames = (op: number) => string;

/** A line cut to the width. */
export function fitLine(line: string): string {
  return line.length <= MAX_COLUMNS ? line : `${line.slice(0, MAX_COLUMNS - 3)}...`;
}

/** `mremap/2`: operation and task, as the kernel writes comm and pid. */
export function taskName(task: number, op: number, opNames?: OpNames): string {
  return `${op === 0 || opNames === undefined ? 'task' : opNames(op)}/${task}`;
}

/** `0x00001f40 (&mm->mmap_lock){++++}-{4:4}, at: munmap (src/mm/munmap.ts:80)`. */
export function lockText({ lock, name, usage, wait, trace }: LockLine): string {
  const frame = callerFrame(trace);
  const place = frame === undefined ? 'unknown' : framePlace(frame);
  return `0x${lock.toString(16).padStart(8, '0')} (${name}){${usage}}-{${wait}:${wait}}, at: ${place}`;
}

/** `function@file:line` as `function (file:line)`. */
export function framePlace(frame: string): string {
  return frame.replace(/^(.*?)@(.*)$/, '$1 ($2)');
}
