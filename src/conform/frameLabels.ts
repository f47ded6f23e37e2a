/**
 * Frame labels (format, section 6): a frame keeps its label while it is mapped and the same; new frames are numbered in
 * scan order, processes ascending, pages ascending. An object keeps its number for the whole case; numbers are given in the same
 * order, VMAs by address.
 */

import type { ObservedProcess } from './observe.ts';
import type { PageState, ProcessState, TraceState, VmaState } from './traceFormat.ts';

/** Labels of the frames that are mapped now, and the next number. */
export interface FrameLabels {
  /** Numbers of the objects seen so far. */
  readonly objects: Map<string, number>;
  labels: ReadonlyMap<string, number>;
  next: number;
}

export function createFrameLabels(): FrameLabels {
  return { objects: new Map(), labels: new Map(), next: 0 };
}

/** The observed processes as a state of the trace; `frames` moves on to the labels after the step. */
export function labelState(frames: FrameLabels, observed: ReadonlyMap<number, ObservedProcess>): TraceState {
  const labels = new Map<string, number>();
  const labelOf = (frame: string): number => {
    const label = labels.get(frame) ?? frames.labels.get(frame) ?? frames.next++;
    labels.set(frame, label);
    return label;
  };
  const numberOf = (object: string | null): number | null => {
    if (object === null) return null;
    const number = frames.objects.get(object) ?? frames.objects.size;
    frames.objects.set(object, number);
    return number;
  };
  const state = new Map<number, ProcessState>();
  for (const p of [...observed.keys()].sort((a, b) => a - b)) {
    const { vmas, pages } = observed.get(p)!;
    const labelled = new Map<number, PageState>();
    for (const { page, frame, mapcount, letters, stamp } of pages) {
      labelled.set(page, { frame: frame === null ? 'z' : labelOf(frame), mapcount, letters, stamp });
    }
    const numbered = vmas.map((vma): [number, VmaState] => [vma.start, { ...vma, object: numberOf(vma.object) }]);
    state.set(p, { vmas: new Map(numbered), pages: labelled });
  }
  frames.labels = labels;
  return state;
}
