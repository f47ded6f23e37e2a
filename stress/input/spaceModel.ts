/**
 * One address space as a plain list of areas and the values written to its pages: what the program that is made of a trace
 * knows of the process. It decides which pages can be touched and what must be read there.
 */

import type { Protection, RealRange } from './decodeCall.ts';

export interface Area {
  readonly start: number;
  readonly end: number;
  readonly prot: Protection;
  readonly shared: boolean;
  /** Copied by fork (MADV_DONTFORK clears it), and emptied for the child (MADV_WIPEONFORK). */
  readonly inherited: boolean;
  readonly wiped: boolean;
}

export class SpaceModel {
  /** Sorted, disjoint. */
  areas: Area[] = [];
  /** Values written to private pages; absent ones read 0. */
  private values = new Map<number, number>();
  /** Pages whose contents are not known. */
  private unknown = new Set<number>();

  /** True if every page of the range is mapped. */
  covers({ start, end }: RealRange): boolean {
    let at = start;
    for (const area of this.areas) if (area.start <= at && at < area.end) at = area.end;
    return at >= end;
  }

  map(area: Area): void {
    this.unmap(area);
    this.areas = [...this.areas, area].sort((a, b) => a.start - b.start);
  }

  unmap({ start, end }: RealRange): void {
    this.areas = this.areas.flatMap((area) => outside(area, start, end));
    this.forget({ start, end });
  }

  /** Changes what overlaps the range. */
  change({ start, end }: RealRange, change: Partial<Area>): void {
    this.areas = this.areas.flatMap((area) => {
      const inside = { ...area, start: Math.max(area.start, start), end: Math.min(area.end, end), ...change };
      return inside.start < inside.end ? [...outside(area, start, end), inside] : [area];
    });
    this.areas.sort((a, b) => a.start - b.start);
  }

  /** Pages of the range are empty again. */
  forget({ start, end }: RealRange): void {
    for (const pages of [this.values, this.unknown]) {
      for (const page of [...pages.keys()]) if (page >= start && page < end) pages.delete(page);
    }
  }

  /** Contents of the range may or may not be lost from here on (MADV_FREE). */
  doubt({ start, end }: RealRange): void {
    for (const page of [...this.values.keys()]) if (page >= start && page < end) this.unknown.add(page);
  }

  /** Moves mapping and contents; what does not fit into the target is lost, what is new there is empty. */
  move(from: RealRange, to: RealRange): void {
    const area = this.areaAt(from.start);
    if (area === undefined) return;
    const moved: [number, number][] = [];
    const doubted: number[] = [];
    for (const [page, value] of this.values) {
      const target = page - from.start + to.start;
      if (page < from.start || page >= from.end || target >= to.end) continue;
      moved.push([target, value]);
      if (this.unknown.has(page)) doubted.push(target);
    }
    this.unmap(from);
    this.map({ ...area, start: to.start, end: to.end });
    for (const [page, value] of moved) this.values.set(page, value);
    for (const page of doubted) this.unknown.add(page);
  }

  areaAt(page: number): Area | undefined {
    return this.areas.find(({ start, end }) => start <= page && page < end);
  }

  write(page: number, value: number): void {
    this.values.set(page, value);
    this.unknown.delete(page);
  }

  /** What a read of the page must give; null where that is not known. */
  expected(page: number): number | null {
    return this.unknown.has(page) || this.areaAt(page)?.shared === true ? null : (this.values.get(page) ?? 0);
  }

  /** Pages that hold a value. */
  written(): number[] {
    return [...this.values.keys()];
  }

  /** The address space of a child. */
  fork(): SpaceModel {
    const child = new SpaceModel();
    child.areas = this.areas.filter(({ inherited }) => inherited).map((area) => ({ ...area }));
    child.values = new Map(this.values);
    child.unknown = new Set(this.unknown);
    for (const area of this.areas) if (!area.inherited || area.wiped) child.forget(area);
    return child;
  }
}

/** What is left of an area outside of [start, end). */
function outside(area: Area, start: number, end: number): Area[] {
  const left = { ...area, end: Math.min(area.end, start) };
  const right = { ...area, start: Math.max(area.start, end) };
  return [left, right].filter((part) => part.start < part.end);
}
