/** A traced call as an operation on whole pages of a real address space: names become bits, texts become numbers. */

import { UsageError } from '../../src/base/usageError.ts';
import type { TracedCall } from './traceFile.ts';

/** [start, end) in pages of the real address space. */
export interface RealRange {
  readonly start: number;
  readonly end: number;
}

export type RealOperation =
  | {
      readonly op: 'mmap';
      readonly range: RealRange;
      readonly prot: Protection;
      readonly shared: boolean;
      readonly file: boolean;
      readonly flags: readonly string[];
    }
  | { readonly op: 'munmap'; readonly range: RealRange }
  | { readonly op: 'mprotect'; readonly range: RealRange; readonly prot: Protection }
  | { readonly op: 'mremap'; readonly range: RealRange; readonly to: RealRange; readonly dontunmap: boolean }
  | { readonly op: 'madvise'; readonly range: RealRange; readonly advice: string }
  | { readonly op: 'mlock'; readonly range: RealRange; readonly onfault: boolean }
  | { readonly op: 'munlock'; readonly range: RealRange }
  /** The new end of the heap, in pages, rounded up. */
  | { readonly op: 'brk'; readonly end: number }
  | { readonly op: 'fork'; readonly child: number }
  /** A new thread of control in the same address space: a thread, or vfork's child until it executes something. */
  | { readonly op: 'share'; readonly child: number }
  | { readonly op: 'exec' }
  | { readonly op: 'end' };

/** What may be done to pages; executing counts as reading. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
}

const PAGE = 4096;

/**
 * The operation of a call that succeeded; null for one that had no effect (it failed, or only asked).
 * @throws UsageError naming file, line and argument
 */
export function decodeCall(file: string, call: TracedCall): RealOperation | null {
  if (call.name === 'ended') return { op: 'end' };
  const { result } = call;
  if (result === null || 'errno' in result) return null;
  const args = new Arguments(file, call);
  const value = result.value;
  switch (call.name) {
    case 'mmap':
      return decodeMmap(args, value);
    case 'munmap':
      return { op: 'munmap', range: args.range(0, 1) };
    case 'mprotect':
      return { op: 'mprotect', range: args.range(0, 1), prot: protectionOf(args.text(2)) };
    case 'mremap': {
      const dontunmap = args.text(3).includes('MREMAP_DONTUNMAP');
      return { op: 'mremap', range: args.range(0, 1), to: rangeOf(value, args.number(2)), dontunmap };
    }
    case 'madvise':
      return { op: 'madvise', range: args.range(0, 1), advice: args.text(2) };
    case 'mlock':
      return { op: 'mlock', range: args.range(0, 1), onfault: false };
    case 'mlock2':
      return { op: 'mlock', range: args.range(0, 1), onfault: args.text(2).includes('MLOCK_ONFAULT') };
    case 'munlock':
      return { op: 'munlock', range: args.range(0, 1) };
    case 'brk':
      return { op: 'brk', end: Math.ceil(value / PAGE) };
    case 'execve':
      return { op: 'exec' };
    default:
      return decodeCreation(call, value);
  }
}

function decodeMmap(args: Arguments, value: number): RealOperation {
  const flags = args.text(3).split('|');
  return {
    op: 'mmap',
    range: rangeOf(value, args.number(1)),
    prot: protectionOf(args.text(2)),
    shared: flags.includes('MAP_SHARED') || flags.includes('MAP_SHARED_VALIDATE'),
    file: !flags.includes('MAP_ANONYMOUS'),
    flags,
  };
}

function decodeCreation({ name, args }: TracedCall, child: number): RealOperation {
  const isShared = name === 'vfork' || args.some((arg) => /\bCLONE_VM\b/.test(arg));
  return { op: isShared ? 'share' : 'fork', child };
}

function rangeOf(address: number, bytes: number): RealRange {
  const start = Math.floor(address / PAGE);
  return { start, end: Math.ceil((address + bytes) / PAGE) };
}

function protectionOf(text: string): Protection {
  const write = text.includes('PROT_WRITE');
  return { write, read: write || text.includes('PROT_READ') || text.includes('PROT_EXEC') };
}

class Arguments {
  private readonly file: string;
  private readonly call: TracedCall;

  constructor(file: string, call: TracedCall) {
    this.file = file;
    this.call = call;
  }

  text(index: number): string {
    return this.call.args[index] ?? this.refuse(`argument ${index + 1} is missing`);
  }

  number(index: number): number {
    const text = this.text(index);
    if (text === 'NULL') return 0;
    if (!/^(0x[\da-f]+|\d+)$/.test(text)) return this.refuse(`argument ${index + 1} is no number: '${text}'`);
    return Number(text);
  }

  /** The pages of an address and a length in bytes. */
  range(address: number, bytes: number): RealRange {
    return rangeOf(this.number(address), this.number(bytes));
  }

  private refuse(why: string): never {
    throw new UsageError(`${this.file}:${this.call.line}: ${this.call.name}: ${why}`);
  }
}
