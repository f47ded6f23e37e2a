/**
 * A program for simulated CPUs, made of a trace: its operations in pages of the simulated address spaces, with reads and
 * writes in between, because a trace of system calls does not say what memory was touched. What each read must give is
 * worked out here, in the order of the trace; at run time operations that concern the same pages keep that order.
 */

import { Prng } from '../../src/base/prng.ts';
import type { Protection, RealRange } from './decodeCall.ts';
import { SpaceModel, type Area } from './spaceModel.ts';
import type { StraceFile } from './traceFile.ts';
import { walkTrace, type PlacedOperation, type Walk } from './traceWalk.ts';

/** What a simulated CPU does in one step. Ranges are pages of the simulated address space. */
export type InputAction =
  | {
      readonly op: 'mmap';
      readonly range: RealRange;
      readonly prot: Protection;
      readonly shared: boolean;
      readonly populate: boolean;
      readonly noreserve: boolean;
    }
  | { readonly op: 'munmap'; readonly range: RealRange }
  | { readonly op: 'mprotect'; readonly range: RealRange; readonly prot: Protection }
  | { readonly op: 'mremap'; readonly range: RealRange; readonly to: RealRange; readonly dontunmap: boolean }
  | { readonly op: 'madvise'; readonly range: RealRange; readonly advice: string }
  | { readonly op: 'mlock'; readonly range: RealRange; readonly onfault: boolean }
  | { readonly op: 'munlock'; readonly range: RealRange }
  | { readonly op: 'fork'; readonly next: number }
  | { readonly op: 'share' }
  | { readonly op: 'exec'; readonly next: number }
  | { readonly op: 'end' }
  | { readonly op: 'write'; readonly range: RealRange; readonly value: number }
  | { readonly op: 'read'; readonly range: RealRange; readonly expected: number };

export interface InputStep {
  readonly line: number;
  readonly thread: number;
  readonly space: number;
  readonly action: InputAction;
  /** A thread whose first step must come after this one, or -1. */
  readonly starts: number;
}

export interface InputProgram {
  readonly steps: readonly InputStep[];
  readonly threads: number;
  /** Pages of each address space's window. */
  readonly spaces: readonly number[];
  readonly summary: InputSummary;
}

export interface InputSummary {
  readonly lines: number;
  readonly calls: number;
  readonly threads: number;
  readonly addressSpaces: number;
  /** Calls that had no effect in the recording. */
  readonly withoutEffect: number;
  /** Calls on memory that nothing in the trace maps. */
  readonly unplaced: number;
  /** File mappings, run as anonymous memory. */
  readonly fileMappings: number;
  readonly skipped: Readonly<Record<string, number>>;
}

const TOUCHED_PAGES = 2;
const MAX_VALUE = 0x7fff_ffff;

/** Makes the program. Same trace and seed, same program. @throws UsageError for a trace that cannot be read */
export function makeInputProgram(name: string, file: StraceFile, seed: number): InputProgram {
  const walk = walkTrace(name, file);
  // What is mapped before the first call (the program itself, its stack) shows only where a call changes it.
  const image = new Map<number, RealRange[]>();
  new Builder(walk, seed, image).run();
  const builder = new Builder(walk, seed, image);
  builder.run();
  const spaces = walk.families.map((family) => walk.maps[family].size);
  const summary: InputSummary = {
    lines: file.lines,
    calls: file.calls.length,
    threads: walk.threads,
    addressSpaces: spaces.length,
    withoutEffect: walk.withoutEffect,
    unplaced: builder.unplaced,
    fileMappings: builder.fileMappings,
    skipped: file.skipped,
  };
  return { steps: builder.steps, threads: walk.threads, spaces, summary };
}

class Builder {
  readonly steps: InputStep[] = [];
  unplaced = 0;
  fileMappings = 0;
  private readonly walk: Walk;
  private readonly prng: Prng;
  /** Per family: ranges that must be mapped from the start. Filled where the program lacks one. */
  private readonly image: Map<number, RealRange[]>;
  private readonly models: (SpaceModel | undefined)[] = [];
  private nextValue = 1;
  private current!: PlacedOperation;

  constructor(walk: Walk, seed: number, image: Map<number, RealRange[]>) {
    this.walk = walk;
    this.prng = Prng.fromSeed(seed);
    this.image = image;
  }

  run(): void {
    for (const operation of this.walk.operations) {
      this.current = operation;
      this.place(operation);
    }
  }

  private place({ space, operation }: PlacedOperation): void {
    if (operation.op === 'exec') {
      this.emit({ op: 'exec', next: operation.next });
      this.openSpace(operation.next);
      return;
    }
    const model = this.models[space]!;
    switch (operation.op) {
      case 'mmap': {
        if (operation.file) this.fileMappings++;
        const populate = operation.flags.includes('MAP_POPULATE') || operation.flags.includes('MAP_LOCKED');
        const noreserve = operation.flags.includes('MAP_NORESERVE');
        return this.map(model, this.translate(operation.range), operation.prot, operation.shared, populate, noreserve);
      }
      case 'heap':
        return this.map(model, this.translate(operation.range), { read: true, write: true }, false, false, false);
      case 'munmap':
        return this.unmap(model, this.translate(operation.range));
      case 'fork':
        return this.fork(model, operation.child, operation.next);
      case 'share':
        return this.emit({ op: 'share' }, operation.child);
      case 'end':
        this.check(model, { start: 0, end: Infinity });
        return this.emit({ op: 'end' });
      default:
        return this.changeMapped(model, operation);
    }
  }

  /** Operations on memory that must be mapped. */
  private changeMapped(
    model: SpaceModel,
    operation: Extract<PlacedOperation['operation'], { op: 'mprotect' | 'mremap' | 'madvise' | 'mlock' | 'munlock' }>,
  ): void {
    const range = this.translate(operation.range);
    if (range.start >= range.end) return;
    if (!model.covers(range)) {
      this.unplaced++;
      const family = this.walk.families[this.current.space];
      this.image.set(family, [...(this.image.get(family) ?? []), range]);
      return;
    }
    switch (operation.op) {
      case 'mprotect':
        model.change(range, { prot: operation.prot });
        this.emit({ op: 'mprotect', range, prot: operation.prot });
        return this.touch(model, range);
      case 'mremap': {
        const to = this.translate(operation.to);
        this.check(model, range);
        if (operation.dontunmap) model.forget(range);
        else model.move(range, to);
        this.emit({ op: 'mremap', range, to, dontunmap: operation.dontunmap });
        return this.touch(model, to);
      }
      case 'madvise':
        this.check(model, range);
        this.emit({ op: 'madvise', range, advice: operation.advice });
        return this.advise(model, range, operation.advice);
      case 'mlock':
        return this.emit({ op: 'mlock', range, onfault: operation.onfault });
      default:
        return this.emit({ op: 'munlock', range });
    }
  }

  private map(
    model: SpaceModel,
    range: RealRange,
    prot: Protection,
    shared: boolean,
    populate: boolean,
    noreserve: boolean,
  ): void {
    if (range.start >= range.end) return;
    model.map({ ...range, prot, shared, inherited: true, wiped: false });
    this.emit({ op: 'mmap', range, prot, shared, populate, noreserve });
    this.touch(model, range);
  }

  private unmap(model: SpaceModel, range: RealRange): void {
    if (range.start >= range.end) return;
    this.check(model, range);
    model.unmap(range);
    this.emit({ op: 'munmap', range });
  }

  private fork(model: SpaceModel, child: number, next: number): void {
    this.emit({ op: 'fork', next }, child);
    const copy = model.fork();
    this.models[next] = copy;
    // Parent and child break copy-on-write apart.
    const everything = { start: 0, end: Infinity };
    this.rewrite(model, everything, this.current);
    const childsOwn = { ...this.current, thread: child, space: next };
    this.check(copy, everything, childsOwn);
    this.rewrite(copy, everything, childsOwn);
  }

  private advise(model: SpaceModel, range: RealRange, advice: string): void {
    if (advice === 'MADV_DONTNEED') model.forget(range);
    else if (advice === 'MADV_FREE') model.doubt(range);
    const change = ADVICE_CHANGES[advice];
    if (change !== undefined) model.change(range, change);
  }

  /** A new family's first address space, with what is there before the first call. */
  private openSpace(space: number): void {
    const model = new SpaceModel();
    this.models[space] = model;
    const at = { ...this.current, space };
    for (const range of this.image.get(this.walk.families[space]) ?? []) {
      if (model.covers(range)) continue;
      const prot = { read: true, write: true };
      model.map({ ...range, prot, shared: false, inherited: true, wiped: false });
      this.emit({ op: 'mmap', range, prot, shared: false, populate: false, noreserve: false }, -1, at);
    }
  }

  /** Writes to some pages of a range that allow it. */
  private touch(model: SpaceModel, { start, end }: RealRange): void {
    for (let i = 0; i < TOUCHED_PAGES; i++) {
      const page = i === 0 ? start : start + this.prng.below(end - start);
      if (model.areaAt(page)?.prot.write === true) this.write(model, page, this.current);
    }
  }

  /** Writes to some of the pages of a range that hold something. */
  private rewrite(model: SpaceModel, range: RealRange, by: PlacedOperation): void {
    const pages = this.someWritten(model, range).filter((page) => model.areaAt(page)?.prot.write === true);
    for (const page of pages) this.write(model, page, by);
  }

  private write(model: SpaceModel, page: number, by: PlacedOperation): void {
    const value = this.nextValue;
    this.nextValue = (this.nextValue % MAX_VALUE) + 1;
    model.write(page, value);
    this.emit({ op: 'write', range: { start: page, end: page + 1 }, value }, -1, by);
  }

  /** Reads some of the pages of a range that hold something. */
  private check(model: SpaceModel, range: RealRange, by = this.current): void {
    for (const page of this.someWritten(model, range)) {
      const expected = model.expected(page);
      if (expected === null || model.areaAt(page)?.prot.read !== true) continue;
      this.emit({ op: 'read', range: { start: page, end: page + 1 }, expected }, -1, by);
    }
  }

  private someWritten(model: SpaceModel, { start, end }: RealRange): number[] {
    const pages = model.written().filter((page) => page >= start && page < end);
    if (pages.length <= TOUCHED_PAGES) return pages;
    const first = this.prng.below(pages.length);
    return [pages[first], pages[(first + 1 + this.prng.below(pages.length - 1)) % pages.length]];
  }

  private emit(action: InputAction, starts = -1, by = this.current): void {
    this.steps.push({ line: by.line, thread: by.thread, space: by.space, action, starts });
  }

  private translate(range: RealRange): RealRange {
    return this.walk.maps[this.walk.families[this.current.space]].translate(range);
  }
}

const ADVICE_CHANGES: Readonly<Record<string, Partial<Area>>> = {
  MADV_DONTFORK: { inherited: false },
  MADV_DOFORK: { inherited: true },
  MADV_WIPEONFORK: { wiped: true },
  MADV_KEEPONFORK: { wiped: false },
};
