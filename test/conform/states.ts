/** States written as the trace format writes them. */
import type { PageState, ProcessState, TraceState, VmaState } from '../../src/conform/traceFormat.ts';

type VmaRow = [start: number, end: number, perms: string, flags: string];
type PageRow = [index: number, frame: number | 'z', mapcount: number, letters: string, stamp: number];

export function processState(vmas: VmaRow[], pages: PageRow[] = []): ProcessState {
  const vma = ([start, end, perms, flags]: VmaRow): [number, VmaState] => [
    start,
    { start, end, perms, flags, object: null, offset: null },
  ];
  const page = ([index, frame, mapcount, letters, stamp]: PageRow): [number, PageState] => [
    index,
    { frame, mapcount, letters, stamp },
  ];
  return { vmas: new Map(vmas.map(vma)), pages: new Map(pages.map(page)) };
}

export function traceState(...processes: ProcessState[]): TraceState {
  return new Map(processes.entries());
}
