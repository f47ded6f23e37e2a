/**
 * Frame labels (format, section 6): a frame keeps its label while it is mapped and the same; new frames are numbered in
 * scan order, processes ascending, pages ascending. An object keeps its number for the whole case; numbers are given in the same
 * order, VMAs by address.
 *
 * A step of KSM may copy a page only to take it apart from others: then the copy goes by the old label if the same pages
 * map it.
 */

import type { ObservedPage, ObservedProcess } from './observe.ts';
import type { PageState, ProcessState, TraceState, VmaState } from './traceFormat.ts';

type Observed = ReadonlyMap<number, ObservedProcess>;

/** Labels of the frames that are mapped now, and the next number. */
export interface FrameLabels {
  /** Numbers of the objects seen so far. */
  readonly objects: Map<string, number>;
  labels: ReadonlyMap<string, number>;
  next: number;
  /** What the labels were given to. */
  observed: Observed;
}

export function createFrameLabels(): FrameLabels {
  return { objects: new Map(), labels: new Map(), next: 0, observed: new Map() };
}

/** The observed processes as a state of the trace; `frames` moves on to the labels after the step. */
export function labelState(frames: FrameLabels, observed: Observed, isKsmStep: boolean): TraceState {
  const kept = isKsmStep ? keptThroughKsm(frames, observed) : frames.labels;
  const labels = new Map<string, number>();
  const labelOf = (frame: string): number => {
    const label = labels.get(frame) ?? kept.get(frame) ?? frames.next++;
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
  frames.observed = observed;
  return state;
}

/** Labels before a KSM step, and those of the frames that stand where a labelled frame stood, page by page. */
function keptThroughKsm({ labels, observed: before }: FrameLabels, after: Observed): ReadonlyMap<string, number> {
  const labelAt = new Map<string, number>();
  for (const [frame, { places }] of framesOf(before)) labelAt.set(places, labels.get(frame)!);
  const kept = new Map(labels);
  for (const [frame, { places, page }] of framesOf(after)) {
    const label = labelAt.get(places);
    if (label !== undefined && !page.letters.includes('k')) kept.set(frame, label);
  }
  return kept;
}

/** Each frame with the pages that map it, in scan order, as one text. */
function framesOf(observed: Observed): Map<string, { places: string; readonly page: ObservedPage }> {
  const frames = new Map<string, { places: string; readonly page: ObservedPage }>();
  for (const p of [...observed.keys()].sort((a, b) => a - b)) {
    for (const page of observed.get(p)!.pages) {
      if (page.frame === null) continue;
      const entry = frames.get(page.frame) ?? { places: '', page };
      entry.places += `${p}:${page.page} `;
      frames.set(page.frame, entry);
    }
  }
  return frames;
}
