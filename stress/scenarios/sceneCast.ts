/**
 * Who acts in the scenario of a scene: of each CPU one operation that can have to do with the place. What did the damage may
 * have ended before it was seen, so there are several casts, the newest operations first.
 */

import type { Scene, SceneOperation, SceneRange } from '../../src/report/sceneDocument.ts';

/** Kernel threads that go from frame to frame and know no process. */
const BY_FRAME = ['compact', 'reclaim'];
/** Operations on a whole process; any other that has not named its pages is somewhere else. */
const BY_PROCESS = ['fork', 'exit', 'take-all-locks'];
/** Accesses and migrations this far away are to other pages of the same process and VMA, if that. */
const NEAR = 8;
/** Operations of a CPU that are tried. */
const DEPTH = 2;
/** CPUs for which that is done: the casts multiply. */
const MOST_CHOICES = 5;
/** Threads of a scenario at most. */
const MOST_THREADS = 4;

export function isByFrame(op: string): boolean {
  return BY_FRAME.includes(op);
}

/** The casts of a scene, the likeliest first; none if nothing in it can have to do with the place. */
export function castsOf(scene: Scene): SceneOperation[][] {
  const choices: SceneOperation[][] = [];
  for (const cpu of new Set(scene.operations.map((operation) => operation.cpu))) {
    const own = scene.operations.filter((operation) => operation.cpu === cpu && isRelated(scene, operation));
    if (own.length > 0) choices.push(own.reverse().slice(0, choices.length < MOST_CHOICES ? DEPTH : 1));
  }
  // A cast is a number of changes to the newest one: fewer changes first.
  const casts = choices.reduce<SceneOperation[][]>(
    (all, choice) => all.flatMap((cast) => choice.map((operation) => [...cast, operation])),
    [[]],
  );
  const age = (cast: readonly SceneOperation[]): number =>
    cast.reduce((sum, operation, index) => sum + choices[index].indexOf(operation), 0);
  casts.sort((a, b) => age(a) - age(b));
  const distinct = new Map(casts.map((cast) => withoutDoubles(cast)).map((cast) => [JSON.stringify(cast), cast]));
  return [...distinct.values()].filter((cast) => cast.length > 0);
}

/** Kernel threads of a kind go to the same frame: one of them is enough. What changes VMAs goes first. */
function withoutDoubles(cast: readonly SceneOperation[]): SceneOperation[] {
  const once = cast.filter(({ op }, index) => !isByFrame(op) || cast.findIndex((other) => other.op === op) === index);
  return once.toSorted((a, b) => Number(isAccess(a)) - Number(isAccess(b))).slice(0, MOST_THREADS);
}

function isAccess({ op }: SceneOperation): boolean {
  return op === 'read' || op === 'write';
}

function isRelated(scene: Scene, operation: SceneOperation): boolean {
  const { op, process, page, pages } = operation;
  if (isByFrame(op)) return true;
  const own = scene.processes.find(({ number }) => number === process);
  if (own === undefined) return false;
  // A process that has its stack where it belongs is past exec.
  if (op === 'exec' && !own.isStarting) return false;
  // The last one out takes the address space down: an exit waits for everybody else who works there.
  if (op === 'exit') return scene.operations.filter((other) => other.process === process).length === 1;
  if (page === undefined) return BY_PROCESS.includes(op);
  const { start, end } =
    isAccess(operation) || op === 'migrate' ? around(scene.place.page) : blockOf(own.ranges, scene);
  return page <= end && page + pages >= start;
}

function around(page: number): { readonly start: number; readonly end: number } {
  return { start: page - NEAR, end: page + NEAR + 1 };
}

/** What is mapped around the place without a gap: whoever changes something there may split or merge its VMA. */
function blockOf(ranges: readonly SceneRange[], { place }: Scene): { readonly start: number; readonly end: number } {
  let { start, end } = around(place.page);
  for (let grown = true; grown;) {
    const next = ranges.find(
      (range) => range.start <= end && range.end >= start && (range.start < start || range.end > end),
    );
    grown = next !== undefined;
    if (next !== undefined) [start, end] = [Math.min(start, next.start), Math.max(end, next.end)];
  }
  return { start, end };
}
