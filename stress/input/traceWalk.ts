/**
 * Who is who in a trace: pids become threads and address spaces, heaps become mappings, and the addresses that each family
 * of address spaces uses are laid out. A family is what one exec and the forks after it share.
 */

import { UsageError } from '../../src/base/usageError.ts';
import { AddressMap } from './addressMap.ts';
import { decodeCall, type RealOperation, type RealRange } from './decodeCall.ts';
import type { StraceFile, TracedCall } from './traceFile.ts';

/** An operation, by whom and where. */
export interface PlacedOperation {
  readonly line: number;
  readonly thread: number;
  /** Address space it works in. */
  readonly space: number;
  readonly operation: PlacedAction;
}

/** As RealOperation, but the heap is a mapping, and pids are threads and spaces. */
export type PlacedAction =
  | Exclude<RealOperation, { op: 'brk' | 'fork' | 'share' | 'exec' }>
  | { readonly op: 'heap'; readonly range: RealRange }
  | { readonly op: 'fork'; readonly child: number; readonly next: number }
  | { readonly op: 'share'; readonly child: number }
  | { readonly op: 'exec'; readonly next: number };

export interface Walk {
  readonly operations: readonly PlacedOperation[];
  readonly threads: number;
  /** Family of each address space. */
  readonly families: readonly number[];
  readonly maps: readonly AddressMap[];
  /** Calls that failed in the recording, or only asked for something: they are not run. */
  readonly withoutEffect: number;
}

/** Address space of a thread that has none yet. */
const NOWHERE = -1;

interface Thread {
  readonly index: number;
  space: number;
}

/** Sorts a trace out. @throws UsageError for a call that cannot be read */
export function walkTrace(name: string, file: StraceFile): Walk {
  const walker = new Walker(name);
  for (const call of file.calls) walker.take(call);
  return walker.finish();
}

class Walker {
  private readonly name: string;
  private readonly operations: PlacedOperation[] = [];
  private readonly threads = new Map<number, Thread>();
  private readonly families: number[] = [];
  private readonly maps: AddressMap[] = [];
  /** End of each address space's heap, once known. */
  private readonly heaps: (number | undefined)[] = [];
  private threadCount = 0;
  private withoutEffect = 0;

  constructor(name: string) {
    this.name = name;
  }

  take(call: TracedCall): void {
    const operation = decodeCall(this.name, call);
    if (operation === null) {
      this.withoutEffect++;
      return;
    }
    const known = this.threads.get(call.pid);
    if (known === undefined && operation.op === 'end') return;
    this.place(call, known ?? this.appear(call), operation);
  }

  finish(): Walk {
    const line = this.operations.at(-1)?.line ?? 0;
    for (const thread of this.threads.values()) this.emit(line, thread, { op: 'end' });
    if (this.threadCount === 0)
      throw new UsageError(`${this.name}: no call that changes memory in it (is it strace output?)`);
    for (const map of this.maps) map.close();
    const { operations, families, maps, withoutEffect } = this;
    return { operations, threads: this.threadCount, families, maps, withoutEffect };
  }

  private place({ line, pid }: TracedCall, thread: Thread, operation: RealOperation): void {
    switch (operation.op) {
      case 'brk':
        return this.moveHeap(line, thread, operation.end);
      case 'fork': {
        const next = this.newSpace(this.families[thread.space]);
        this.heaps[next] = this.heaps[thread.space];
        const child = this.startThread(operation.child, next).index;
        return this.emit(line, thread, { op: 'fork', child, next });
      }
      case 'share': {
        const child = this.startThread(operation.child, thread.space).index;
        return this.emit(line, thread, { op: 'share', child });
      }
      case 'exec': {
        const next = this.newSpace(this.newFamily());
        this.emit(line, thread, { op: 'exec', next });
        thread.space = next;
        return;
      }
      case 'end':
        this.threads.delete(pid);
        return this.emit(line, thread, operation);
      default:
        return this.emit(line, thread, operation);
    }
  }

  /** A pid that nobody in the trace created: it starts with an address space of its own. */
  private appear({ line, pid }: TracedCall): Thread {
    const space = this.newSpace(this.newFamily());
    const thread = this.startThread(pid, space);
    this.operations.push({ line, thread: thread.index, space: NOWHERE, operation: { op: 'exec', next: space } });
    return thread;
  }

  /** The first brk of an address space tells where its heap begins. */
  private moveHeap(line: number, thread: Thread, end: number): void {
    const before = this.heaps[thread.space];
    this.heaps[thread.space] = end;
    if (before === undefined || before === end) return;
    const range = { start: Math.min(before, end), end: Math.max(before, end) };
    this.emit(line, thread, { op: end > before ? 'heap' : 'munmap', range });
  }

  private emit(line: number, thread: Thread, operation: PlacedAction): void {
    const map = this.maps[this.families[thread.space]];
    if ('range' in operation) map.add(operation.range);
    if ('to' in operation) map.add(operation.to);
    this.operations.push({ line, thread: thread.index, space: thread.space, operation });
  }

  private startThread(pid: number, space: number): Thread {
    const thread = { index: this.threadCount++, space };
    this.threads.set(pid, thread);
    return thread;
  }

  private newSpace(family: number): number {
    this.heaps.push(undefined);
    return this.families.push(family) - 1;
  }

  private newFamily(): number {
    return this.maps.push(new AddressMap()) - 1;
  }
}
