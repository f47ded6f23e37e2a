/** From the scene of a finding to the start of a scenario: what was there before, who took part. */
import { describe, expect, it } from 'vitest';
import type { Scene, SceneOperation, SceneProcess } from '../../src/report/sceneDocument.ts';
import { layoutsOf, type Layout, type LayoutProcess } from '../../stress/scenarios/sceneLayout.ts';

const COMPACT: SceneOperation = { cpu: 1, op: 'compact', running: true, process: 5, pages: 0 };

/** A process with a VMA [100, 110) and pages 103 and 104. */
function process(more: Partial<SceneProcess> = {}): SceneProcess {
  return {
    number: 5,
    parent: 0,
    isStarting: false,
    ranges: [{ start: 100, end: 110, prot: 'rw' }],
    frames: [
      { page: 103, pfn: 7 },
      { page: 104, pfn: 8 },
    ],
    ...more,
  };
}

function layouts(operations: readonly SceneOperation[], processes = [process()], page = 104): Layout[] {
  const scene: Scene = { place: { process: 5, page }, processes, operations };
  return layoutsOf(scene);
}

/** `0rw 1rw* 2r`: pages with protection, a star when they are touched. */
function drawn({ pages }: LayoutProcess): string {
  return pages.map(({ page, prot, touched }) => `${page}${prot}${touched ? '*' : ''}`).join(' ');
}

describe('before', () => {
  it('the range of a munmap is mapped again, with a page on either side', () => {
    const torn = process({ ranges: [{ start: 103, end: 110, prot: 'rw' }] });
    const [layout] = layouts(
      [{ cpu: 0, op: 'munmap', running: true, process: 5, page: 101, pages: 2 }, COMPACT],
      [torn],
    );
    expect(drawn(layout.processes[0])).toBe('0rw 1rw 2rw 3rw* 4rw*');
    expect(layout.operations).toMatchObject([
      { op: 'munmap', page: 1, pages: 2 },
      { op: 'compact', page: 4 },
    ]);
  });

  it('the range of an mprotect has another protection than it is about to get', () => {
    const [layout] = layouts([{ cpu: 0, op: 'mprotect', running: true, process: 5, page: 102, pages: 1, detail: 1 }]);
    expect(drawn(layout.processes[0])).toBe('0rw 1rw 2rw* 3rw*');
    const [other] = layouts([{ cpu: 0, op: 'mprotect', running: true, process: 5, page: 102, pages: 1, detail: 3 }]);
    expect(drawn(other.processes[0])).toBe('0rw 1r 2rw* 3rw*');
  });

  it('a hole that an mmap has made was mapped; a mapping it has merged was not there', () => {
    const mmap: SceneOperation = { cpu: 0, op: 'mmap', running: true, process: 5, page: 101, pages: 1, detail: 3 };
    const hole = process({ ranges: [{ start: 102, end: 110, prot: 'rw' }] });
    expect(drawn(layouts([mmap], [hole])[0].processes[0])).toBe('0rw 1rw 2rw 3rw 4rw*');
    expect(drawn(layouts([mmap])[0].processes[0])).toBe('0rw 2rw 3rw 4rw*');
  });

  it('what an mremap has moved is where it came from', () => {
    const mremap: SceneOperation = {
      cpu: 0,
      op: 'mremap',
      running: true,
      process: 5,
      page: 103,
      pages: 2,
      detail: 120,
    };
    const moved = process({
      ranges: [{ start: 120, end: 122, prot: 'rw' }],
      frames: [{ page: 120, pfn: 7 }],
    });
    const [layout] = layouts([mremap], [moved]);
    expect(drawn(layout.processes[0])).toBe('1rw* 2rw*');
    expect(layout.operations).toMatchObject([{ op: 'mremap', page: 1, pages: 2, moveTo: 5 }]);
  });

  it('a stack that exec is moving is where it was built', () => {
    const exec: SceneOperation = { cpu: 0, op: 'exec', running: true, process: 5, page: 104, pages: 2, detail: 3 };
    const starting = process({ isStarting: true, ranges: [{ start: 101, end: 106, prot: 'rw' }] });
    const [layout] = layouts([exec, COMPACT], [starting]);
    expect(drawn(layout.processes[0])).toBe('1rw* 2rw');
    expect(layout.operations).toMatchObject([{ op: 'exec', page: 1, pages: 2, shift: 3 }, { op: 'compact' }]);
  });

  it('the last layouts take the scene as it was seen', () => {
    const torn = process({ ranges: [{ start: 103, end: 110, prot: 'rw' }] });
    const all = layouts([{ cpu: 0, op: 'munmap', running: true, process: 5, page: 101, pages: 2 }], [torn]);
    expect(drawn(all[all.length - 1].processes[0])).toBe('3rw* 4rw*');
  });
});

describe('who takes part', () => {
  const munmap = (page: number, cpu = 0): SceneOperation => {
    return { cpu, op: 'munmap', running: true, process: 5, page, pages: 1 };
  };

  it('not who works somewhere else, and one kernel thread of a kind', () => {
    const elsewhere: SceneOperation = { cpu: 2, op: 'munmap', running: true, process: 9, page: 104, pages: 1 };
    const [layout] = layouts([munmap(104), elsewhere, munmap(500, 3), COMPACT, { ...COMPACT, cpu: 4 }]);
    expect(layout.operations.map(({ op }) => op)).toEqual(['munmap', 'compact']);
  });

  it('the newest operation of a CPU first, the one before it in another layout', () => {
    const all = layouts([{ ...munmap(101), running: false }, munmap(104), COMPACT]);
    const pages = all.map(({ operations, place }) => operations[0].page - place.page);
    expect(pages.slice(0, 2)).toEqual([0, -3]);
  });

  it('a child that shares the frame of its parent is forked from it', () => {
    const child = process({
      number: 6,
      parent: 5,
      frames: [
        { page: 103, pfn: 9 },
        { page: 104, pfn: 8 },
      ],
    });
    const write: SceneOperation = { cpu: 0, op: 'write', running: true, process: 6, page: 104, pages: 1 };
    const [layout] = layouts([write, COMPACT], [process(), child]);
    expect(layout.processes.map(({ number, parent }) => [number, parent])).toEqual([
      [5, -1],
      [6, 0],
    ]);
    expect(layout.processes[1].pages.map(({ page, shared }) => [page, shared])).toEqual([
      [0, false],
      [1, true],
      [2, false],
    ]);
  });

  it('nobody: there is no layout', () => {
    expect(layouts([munmap(900)])).toEqual([]);
  });
});
