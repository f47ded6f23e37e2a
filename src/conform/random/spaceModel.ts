/**
 * What an address space is to its user: pages with a protection and a value, nothing else. Predicts the result of every
 * operation and the contents afterwards. VMAs, page tables, sharing and reuse do not exist here; where a result
 * depends on how the kernel cut the space into VMAs (mremap), the caller says where the VMA ends.
 */
import type { SimulatedProcess } from '../execute.ts';
import type { ObservedProcess } from '../observe.ts';
import type { Action, Protection, Result } from '../traceFormat.ts';
import type { Heap } from '../../arena/heap.ts';
import { pageContent } from '../../layout/page.ts';

/** One page of a process. Its identity survives a move, so that a pin can follow it. */
interface ModelPage {
  prot: Protection;
  value: number;
}

interface Pin {
  readonly p: number;
  readonly id: number;
  readonly pages: readonly ModelPage[];
}

type Pages = Map<number, ModelPage>;
type Of<Op extends Action['op']> = Extract<Action, { readonly op: Op }>;

const PERMS: Readonly<Record<Protection, string>> = { none: '---p', r: 'r--p', rw: 'rw-p' };

export class SpaceModel {
  readonly window: number;
  readonly processes = new Map<number, Pages>([[0, new Map()]]);
  private pins: Pin[] = [];

  /** @param window pages 0 .. window are all there is */
  constructor(window: number) {
    this.window = window;
  }

  /** Carries out an action; returns the result it must have. `vmaEnd` is where the VMA around the first page ends. */
  perform(action: Action, vmaEnd: number): Result {
    switch (action.op) {
      case 'mmap':
        return this.mmap(action);
      case 'munmap':
        this.unmap(this.pagesOf(action.p), ...rangeOf(action));
        return 0;
      case 'mprotect':
        return this.mprotect(action);
      case 'mremap':
        return this.mremap(action, vmaEnd);
      case 'read':
      case 'write':
        return this.access(action);
      case 'fork':
        this.processes.set(action.child, copyOf(this.pagesOf(action.p)));
        return action.child;
      case 'exit':
        this.processes.delete(action.p);
        this.pins = this.pins.filter((pin) => pin.p !== action.p);
        return 0;
      case 'pin':
        return this.pin(action);
      case 'unpin':
        this.pins = this.pins.filter((pin) => pin.p !== action.p || pin.id !== action.id);
        return 0;
      case 'migrate':
        return this.mappedIn(this.pagesOf(action.p), ...rangeOf(action)).length > 0 ? 0 : 'EFAULT';
      default:
        throw new Error(`no model of ${action.op}`);
    }
  }

  /** Ids of the pins a process holds. */
  pinsOf(p: number): number[] {
    return this.pins.filter((pin) => pin.p === p).map(({ id }) => id);
  }

  private pagesOf(p: number): Pages {
    return this.processes.get(p)!;
  }

  private mmap({ p, at, len, prot, flags }: Of<'mmap'>): Result {
    const pages = this.pagesOf(p);
    const count = Number(len.text);
    const isFixed = flags.includes('fixed');
    const hint = at === null ? null : Number(at.text);
    const taken = hint === null ? 0 : this.mappedIn(pages, hint, hint + count).length;
    if (flags.includes('fixed_noreplace') && taken > 0) return 'EEXIST';
    const isPossible = hint !== null && hint + count <= this.window && (isFixed || taken === 0);
    const start = isPossible ? hint : this.highestGap(pages, count);
    if (start === null) return 'ENOMEM';
    for (let page = start; page < start + count; page++) pages.set(page, { prot, value: 0 });
    return start;
  }

  private mprotect(action: Of<'mprotect'>): Result {
    const pages = this.pagesOf(action.p);
    const [start, end] = rangeOf(action);
    for (let page = start; page < end; page++) {
      const found = pages.get(page);
      if (found === undefined) return 'ENOMEM';
      found.prot = action.prot;
    }
    return 0;
  }

  private mremap(action: Of<'mremap'>, vmaEnd: number): Result {
    const pages = this.pagesOf(action.p);
    const [start, end] = rangeOf(action);
    const count = Number(action.newLen.text);
    const dontUnmap = action.flags.includes('dontunmap');
    if (dontUnmap && count !== end - start) return 'EINVAL';
    if (action.flags.includes('fixed')) {
      const to = Number(action.to!.text);
      if (count !== end - start) return this.moveAndResize(pages, action, to, vmaEnd);
      return this.moveTo(pages, [start, end], to, dontUnmap);
    }
    const hint = dontUnmap && action.to !== null ? Number(action.to.text) : null;
    if (hint !== null && start < hint + count && hint < end) return 'EINVAL';
    if (!pages.has(start)) return 'EFAULT';
    if (!dontUnmap && count <= end - start) {
      this.unmap(pages, start + count, end);
      return start;
    }
    if (vmaEnd < end) return 'EFAULT';
    const { prot } = pages.get(start)!;
    const canGrow = vmaEnd === end && start + count <= this.window && this.isFree(pages, end, start + count);
    const target = !dontUnmap && canGrow ? start : this.findTarget(pages, action, count, hint);
    if (target === null) return 'ENOMEM';
    if (target !== start) this.movePages(pages, start, end, target);
    for (let page = target + end - start; page < target + count; page++) pages.set(page, { prot, value: 0 });
    if (dontUnmap) for (let page = start; page < end; page++) pages.set(page, { prot, value: 0 });
    return target;
  }

  private findTarget(pages: Pages, { flags }: Of<'mremap'>, count: number, hint: number | null): number | null {
    if (hint !== null && hint + count <= this.window && this.isFree(pages, hint, hint + count)) return hint;
    return flags.includes('maymove') ? this.highestGap(pages, count) : null;
  }

  /** MREMAP_FIXED with equal lengths: what is mapped moves, what lies opposite a hole stays. */
  private moveTo(pages: Pages, [start, end]: [number, number], to: number, dontUnmap: boolean): Result {
    if (start < to + (end - start) && to < end) return 'EINVAL';
    if (!pages.has(start)) return 'EFAULT';
    const left = this.mappedIn(pages, start, end).map((page): [number, ModelPage] => {
      return [page, { prot: pages.get(page)!.prot, value: 0 }];
    });
    this.movePages(pages, start, end, to);
    if (dontUnmap) for (const [page, empty] of left) pages.set(page, empty);
    return to;
  }

  /** MREMAP_FIXED with another length: of one VMA, whose tail goes or which is followed by empty pages. */
  private moveAndResize(pages: Pages, action: Of<'mremap'>, to: number, vmaEnd: number): Result {
    const [start, end] = rangeOf(action);
    const count = Number(action.newLen.text);
    const kept = Math.min(end, start + count);
    if (start < to + count && to < end) return 'EINVAL';
    if (!pages.has(start) || vmaEnd < kept) return 'EFAULT';
    const { prot } = pages.get(start)!;
    this.unmap(pages, to, to + count);
    this.unmap(pages, kept, end);
    this.movePages(pages, start, kept, to);
    for (let page = to + kept - start; page < to + count; page++) pages.set(page, { prot, value: 0 });
    return to;
  }

  private movePages(pages: Pages, start: number, end: number, to: number): void {
    for (let page = start; page < end; page++) {
      const found = pages.get(page);
      if (found === undefined) continue;
      pages.delete(page);
      pages.set(to + page - start, found);
    }
  }

  private access(action: Of<'read'> | Of<'write'>): Result {
    const found = this.pagesOf(action.p).get(action.page);
    if (found === undefined) return 'segv_maperr';
    if (action.op === 'read') return found.prot === 'none' ? 'segv_accerr' : found.value;
    if (found.prot !== 'rw') return 'segv_accerr';
    found.value = action.value;
    return 0;
  }

  private pin(action: Of<'pin'>): Result {
    const pages = this.pagesOf(action.p);
    const pinned: ModelPage[] = [];
    const [start, end] = rangeOf(action);
    for (let page = start; page < end; page++) {
      const found = pages.get(page);
      if (found?.prot !== 'rw') return 'EFAULT';
      pinned.push(found);
    }
    this.pins.push({ p: action.p, id: action.id, pages: pinned });
    return 0;
  }

  private unmap(pages: Pages, start: number, end: number): void {
    for (let page = start; page < end; page++) pages.delete(page);
  }

  private mappedIn(pages: Pages, start: number, end: number): number[] {
    return [...pages.keys()].filter((page) => page >= start && page < end);
  }

  private isFree(pages: Pages, start: number, end: number): boolean {
    return this.mappedIn(pages, start, end).length === 0;
  }

  private highestGap(pages: Pages, count: number): number | null {
    for (let start = this.window - count; start >= 0; start--)
      if (this.isFree(pages, start, start + count)) return start;
    return null;
  }

  /** Everything that differs between the model and the simulated processes, as texts. */
  differences(
    observed: ReadonlyMap<number, ObservedProcess>,
    heap: Heap,
    simulated: readonly SimulatedProcess[],
  ): string[] {
    const found: string[] = [];
    for (const [p, pages] of this.processes) {
      const process = observed.get(p)!;
      found.push(...protectionDifferences(pages, process), ...valueDifferences(pages, process));
    }
    for (const pin of this.pins) found.push(...pinDifferences(heap, this.pagesOf(pin.p), pin, simulated[pin.p]));
    return found;
  }
}

function rangeOf({ at, len }: { at: { text: string }; len: { text: string } }): [start: number, end: number] {
  return [Number(at.text), Number(at.text) + Number(len.text)];
}

function copyOf(pages: Pages): Pages {
  return new Map([...pages].map(([page, { prot, value }]) => [page, { prot, value }]));
}

function protectionDifferences(pages: Pages, { vmas }: ObservedProcess): string[] {
  const actual = new Map<number, string>();
  for (const { start, end, perms } of vmas) for (let page = start; page < end; page++) actual.set(page, perms);
  const all = new Set([...pages.keys(), ...actual.keys()]);
  return [...all].flatMap((page) => {
    const model = pages.get(page);
    const expected = model === undefined ? undefined : PERMS[model.prot];
    return expected === actual.get(page) ? [] : [`page ${page} is ${actual.get(page)}, should be ${expected}`];
  });
}

/** Present pages show the value; an absent page of a mapping reads zero. */
function valueDifferences(pages: Pages, observed: ObservedProcess): string[] {
  const stamps = new Map(observed.pages.map(({ page, stamp }) => [page, stamp]));
  const lost = observed.pages.filter(({ page }) => !pages.has(page)).map(({ page }) => `page ${page} is present`);
  const wrong = [...pages].flatMap(([page, { value }]) => {
    const stamp = stamps.get(page) ?? 0;
    return stamp === value ? [] : [`page ${page} holds ${stamp}, should be ${value}`];
  });
  return [...lost, ...wrong, ...observed.leftovers.map((page) => `page ${page} has an entry left over`)];
}

/** While a pinned page stays mapped, device and process see the same memory. */
function pinDifferences(heap: Heap, pages: Pages, pin: Pin, { pins }: SimulatedProcess): string[] {
  const mapped = new Set(pages.values());
  const frames = pins.get(pin.id)!;
  return pin.pages.flatMap((page, i) => {
    const seen = pageContent(heap, frames[i], 0);
    return !mapped.has(page) || seen === page.value ? [] : [`pin ${pin.id} sees ${seen}, should be ${page.value}`];
  });
}
