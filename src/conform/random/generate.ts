/** Random cases, step by step: a draw, the model that tells the next draws what is mapped, and the counters of a case. */

import type { Prng } from '../../base/prng.ts';
import { WINDOW_PAGES, type Action } from '../traceFormat.ts';
import { drawAction, type LiveProcesses } from './draw.ts';
import type { Family } from './families.ts';
import { SpaceModel } from './spaceModel.ts';

const MAX_DRAWS = 400;

/** Draws one step after the other; the caller says what became of each. */
export class StepSource {
  private readonly prng: Prng;
  private readonly family: Family;
  private readonly base: number;
  private readonly window: number;
  private forks = 0;
  private pins = 0;
  private lastMove: Extract<Action, { readonly op: 'mremap' }> | null = null;

  /** @param window pages 0 .. window are all there is */
  constructor(prng: Prng, family: Family, window: number) {
    this.prng = prng;
    this.family = family;
    this.window = window;
    const room = Math.max(1, window - family.region + 1);
    // Half of the cases lie at the end of the window, where the kernel puts what has no address.
    this.base = prng.below(2) === 0 ? room - 1 : prng.below(room);
  }

  /** The next step, or null when this draw came to nothing. */
  draw(alive: LiveProcesses): Action | null {
    const { prng, family, base, window, forks, pins, lastMove } = this;
    const action = drawAction({ prng, family, alive, base, window, forks, pins, lastMove });
    if (action?.op === 'fork') this.forks++;
    if (action?.op === 'pin') this.pins++;
    if (action?.op === 'mremap' && action.flags.includes('fixed')) this.lastMove = action;
    return action;
  }

  /** How many steps a case has. */
  drawLength(): number {
    const { minSteps, maxSteps } = this.family;
    return minSteps + this.prng.below(maxSteps - minSteps + 1);
  }
}

/** The steps of one case. `accept` refuses those that cannot be made. */
export function generateSteps(prng: Prng, family: Family, accept: (action: Action) => boolean): Action[] {
  const source = new StepSource(prng, family, WINDOW_PAGES);
  const model = new SpaceModel(WINDOW_PAGES);
  const actions: Action[] = [];
  const length = source.drawLength();
  for (let draws = 0; actions.length < length && draws < MAX_DRAWS; draws++) {
    const action = source.draw(model);
    if (action === null || !accept(action)) continue;
    actions.push(action);
    if (isModelled(action)) model.perform(action, vmaEndGuess(model, action));
  }
  return actions;
}

const MODELLED_OPS = [
  'mmap',
  'munmap',
  'mprotect',
  'mremap',
  'read',
  'write',
  'fork',
  'exit',
  'pin',
  'unpin',
  'migrate',
];

/** The model knows pages, not bytes, and no flags that are wrong in themselves. */
function isModelled(action: Action): boolean {
  if (!MODELLED_OPS.includes(action.op)) return false;
  const operands = ['at', 'len', 'newLen', 'to'].map((key) => (action as unknown as Record<string, unknown>)[key]);
  if (operands.some((operand) => operand !== undefined && operand !== null && !isWholePages(operand))) return false;
  if (action.op !== 'mremap') return true;
  const needsMove = action.flags.includes('fixed') || action.flags.includes('dontunmap');
  const isOdd = action.flags.includes('bad8') || (needsMove && !action.flags.includes('maymove'));
  return !isOdd && !(action.flags.includes('fixed') && action.to === null);
}

function isWholePages(operand: unknown): boolean {
  return /^[1-9]\d*$/.test((operand as { text: string }).text);
}

/** Where the VMA around the first page of an mremap probably ends: where the mapped pages do. */
function vmaEndGuess(model: SpaceModel, action: Action): number {
  if (action.op !== 'mremap') return 0;
  const pages = model.processes.get(action.p)!;
  let end = Number(action.at.text);
  while (pages.has(end)) end++;
  return end;
}
