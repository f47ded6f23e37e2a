/**
 * The memory calls of a whole strace file, in the order in which they took effect, each with the pid that made it. Calls
 * that were interrupted by other pids' lines are put together again.
 *
 * A call that creates a process takes effect where it begins: the child's first line may come before the parent's resumed
 * one. Every other call takes effect where it ends.
 */

import { UsageError } from '../../src/base/usageError.ts';
import { parseStraceLine, type CallResult, type StraceLine } from './straceLine.ts';

/** A system call of interest. `line` is where it was read, from 1. */
export interface TracedCall {
  readonly line: number;
  readonly pid: number;
  readonly name: string;
  readonly args: readonly string[];
  readonly result: CallResult;
}

export interface StraceFile {
  readonly calls: readonly TracedCall[];
  readonly lines: number;
  /** Lines that are not of interest: other calls by name, signals and foreign text under `other`. */
  readonly skipped: Readonly<Record<string, number>>;
}

/** Calls that are run; `ended` stands for the line that says that a pid is gone. */
const KNOWN_CALLS = new Set([
  ...['mmap', 'munmap', 'mprotect', 'mremap', 'madvise', 'brk', 'mlock', 'mlock2', 'munlock'],
  ...['fork', 'vfork', 'clone', 'clone3', 'execve', 'ended'],
]);
const CREATES = new Set(['fork', 'vfork', 'clone', 'clone3']);

/** Reads the text of a file. @throws UsageError for a call of interest that cannot be read, with file and line */
export function readStrace(file: string, text: string): StraceFile {
  const reader = new Reader(file);
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  lines.forEach((line, index) => reader.take(index + 1, parseStraceLine(line)));
  return { calls: reader.finish(), lines: lines.length, skipped: reader.skipped };
}

interface Slot {
  call: TracedCall | null;
}

class Reader {
  readonly skipped: Record<string, number> = {};
  private readonly file: string;
  /** In order of effect; a creating call's slot is empty until it is resumed. */
  private readonly slots: Slot[] = [];
  private readonly open = new Map<number, { line: number; name: string; args: readonly string[]; slot: Slot }>();

  constructor(file: string) {
    this.file = file;
  }

  take(line: number, parsed: StraceLine): void {
    switch (parsed.kind) {
      case 'other':
        return this.skip('other');
      case 'ended':
        this.slots.push({ call: { line, pid: parsed.pid, name: 'ended', args: [], result: null } });
        return;
      case 'unfinished': {
        const slot: Slot = { call: null };
        if (CREATES.has(parsed.name)) this.slots.push(slot);
        this.open.set(parsed.pid, { line, name: parsed.name, args: parsed.args, slot });
        return;
      }
      case 'resumed':
        return this.resume(line, parsed);
      default:
        if (!KNOWN_CALLS.has(parsed.name)) return this.skip(parsed.name);
        this.slots.push({ call: { ...parsed, line } });
    }
  }

  /** Calls that never came back had no effect that is known. */
  finish(): TracedCall[] {
    return this.slots.flatMap(({ call }) => (call === null ? [] : [call]));
  }

  private resume(line: number, parsed: Extract<StraceLine, { kind: 'resumed' }>): void {
    const begun = this.open.get(parsed.pid);
    if (begun?.name !== parsed.name) {
      if (!KNOWN_CALLS.has(parsed.name)) return this.skip(parsed.name);
      throw new UsageError(`${this.file}:${line}: ${parsed.name} of pid ${parsed.pid} is resumed but never began`);
    }
    this.open.delete(parsed.pid);
    if (!KNOWN_CALLS.has(parsed.name)) return this.skip(parsed.name);
    const { slot } = begun;
    const { pid, name, result } = parsed;
    slot.call = { line: begun.line, pid, name, args: [...begun.args, ...parsed.args], result };
    if (!CREATES.has(name)) this.slots.push(slot);
  }

  private skip(name: string): void {
    this.skipped[name] = (this.skipped[name] ?? 0) + 1;
  }
}
