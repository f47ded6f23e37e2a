import { describe, expect, it } from 'vitest';
import { createFrameLabels, labelState, type FrameLabels } from '../../src/conform/frameLabels.ts';
import type { ObservedProcess } from '../../src/conform/observe.ts';

/** One process per argument, its frames at pages 0, 1, 2 ... */
function label(frames: FrameLabels, ...processes: (string | null)[][]): (number | 'z')[][] {
  const observed = processes.map((names): ObservedProcess => {
    const pages = names.map((frame, page) => ({ page, frame, mapcount: 1, letters: 'x', stamp: 0 }));
    return { vmas: [], pages, leftovers: [] };
  });
  const state = labelState(frames, new Map(observed.entries()));
  return [...state.values()].map(({ pages }) => [...pages.values()].map(({ frame }) => frame));
}

describe('frame labels', () => {
  it('new frames are numbered by process, then by page', () => {
    expect(label(createFrameLabels(), ['a', 'b'], ['c'])).toEqual([[0, 1], [2]]);
  });

  it('a frame keeps its label, wherever it is mapped', () => {
    const frames = createFrameLabels();
    label(frames, ['a', 'b']);
    expect(label(frames, ['new', 'b'], ['a'])).toEqual([[2, 1], [0]]);
  });

  it('a frame that was unmapped comes back under a new label', () => {
    const frames = createFrameLabels();
    label(frames, ['a']);
    label(frames, []);
    expect(label(frames, ['a'])).toEqual([[1]]);
  });

  it('the zero page has none', () => {
    expect(label(createFrameLabels(), [null, 'a', null])).toEqual([['z', 0, 'z']]);
  });
});
