import { describe, expect, it } from 'vitest';
import { createFrameLabels, labelState, type FrameLabels } from '../../src/conform/frameLabels.ts';
import type { ObservedProcess } from '../../src/conform/observe.ts';

type Processes = (string | null)[][];

/** One process per argument, its frames at pages 0, 1, 2 ...; a frame whose name ends in k is a KSM page. */
function label(frames: FrameLabels, ...processes: Processes): (number | 'z')[][] {
  return labelAfter(frames, false, processes);
}

function labelAfter(frames: FrameLabels, isKsmStep: boolean, processes: Processes): (number | 'z')[][] {
  const observed = processes.map((names): ObservedProcess => {
    const pages = names.map((frame, page) => {
      return { page, frame, mapcount: 1, letters: frame?.endsWith('k') ? 'k' : 'x', stamp: 0 };
    });
    return { vmas: [], pages, leftovers: [] };
  });
  const state = labelState(frames, new Map(observed.entries()), isKsmStep);
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

  it('a copy that KSM made of a page keeps the label when the same pages map it', () => {
    const frames = createFrameLabels();
    label(frames, ['a', 'b'], ['a']);
    expect(labelAfter(frames, true, [['copy', 'b'], ['copy']])).toEqual([[0, 1], [0]]);
    expect(label(frames, ['copy', 'b'], ['copy'])).toEqual([[0, 1], [0]]);
  });

  it('not when other pages do, nor outside of a KSM step', () => {
    const frames = createFrameLabels();
    label(frames, ['a', 'b'], ['a']);
    expect(labelAfter(frames, true, [['a', 'b'], ['copy']])).toEqual([[0, 1], [2]]);
    expect(label(frames, ['new', 'b'], ['copy'])).toEqual([[3, 1], [2]]);
  });

  it('a KSM page is a new frame, and what joins it takes its label', () => {
    const frames = createFrameLabels();
    label(frames, ['a', 'b', 'c']);
    expect(labelAfter(frames, true, [['ak', 'ak', 'c']])).toEqual([[3, 3, 2]]);
    expect(labelAfter(frames, true, [['ak', 'ak', 'ak']])).toEqual([[3, 3, 3]]);
  });
});
