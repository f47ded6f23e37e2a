/**
 * Frame labels (format, section 6): a frame keeps its label while it is mapped and the same; new frames are numbered in
 * scan order, processes ascending, pages ascending.
 */

import type { ObservedProcess } from './observe.ts';
import type { PageState, ProcessState, TraceState } from './traceFormat.ts';

/** Labels of the frames that are mapped now, and the next number. */
export interface FrameLabels {
  labels: ReadonlyMap<string, number>;
  next: number;
}

export function createFrameLabels(): FrameLabels {
  return { labels: new Map(), next: 0 };
}

/** The observed processes as a state of the trace; `frames` moves on to the labels after the step. */
export function labelState(frames: FrameLabels, observed: ReadonlyMap<number, ObservedProcess>): TraceState {
  const labels = new Map<string, number>();
  const labelOf = (frame: string): number => {
    const label = labels.get(frame) ?? frames.labels.get(frame) ?? frames.next++;
    labels.set(frame, label);
    return label;
  };
  const state = new Map<number, ProcessState>();
  for (const p of [...observed.keys()].sort((a, b) => a - b)) {
    const { vmas, pages } = observed.get(p)!;
    const labelled = new Map<number, PageState>();
    for (const { page, frame, mapcount, letters, stamp } of pages) {
      labelled.set(page, { frame: frame === null ? 'z' : labelOf(frame), mapcount, letters, stamp });
    }
    state.set(p, { vmas: new Map(vmas.map((vma) => [vma.start, vma])), pages: labelled });
  }
  frames.labels = labels;
  return state;
}
