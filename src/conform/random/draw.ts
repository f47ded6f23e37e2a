/**
 * Random steps that make sense: aimed at what is mapped, by the plain model of what the steps so far led to. Where model
 * and kernel differ (locked and sealed memory, limits) the aim is only less good.
 */

import type { Prng } from '../../base/prng.ts';
import { readAddress, readLength } from '../readOperand.ts';
import { ADVICE, MAX_PROCESSES, type Action, type Operand, type Protection } from '../traceFormat.ts';
import type { DrawKind, Family } from './families.ts';

/** What a draw must know of the processes that live. */
export interface LiveProcesses {
  /** Mapped pages of each. */
  readonly processes: ReadonlyMap<number, ReadonlyMap<number, unknown>>;
  readonly pinsOf: (p: number) => readonly number[];
}

/** Where in a case a draw stands. */
export interface DrawContext {
  readonly prng: Prng;
  readonly family: Family;
  readonly alive: LiveProcesses;
  /** First page of the region, and the end of the window. */
  readonly base: number;
  readonly window: number;
  /** Tried so far. */
  readonly forks: number;
  readonly pins: number;
  /** The last range that was moved to a place of the draw's choice. */
  readonly lastMove: Extract<Action, { readonly op: 'mremap' }> | null;
}

type Range = { readonly p: number; readonly at: Operand; readonly len: Operand };

const ODD_LENGTHS = [0, '@ffffffffffffffff', '@800000000000', '@7ffffffff000', '0+1', '1+4095', '2+1'];
const ODD_ADDRESSES = ['@7ffffffff000', '@fffffffffffff000', '@0'];
const HUGE = 512;
const LETTERS_OF_VALUE = 256;
/** Few values, so that KSM finds equal pages. */
const KSM_VALUES = 4;

/** A step, or null when the draw means none now: no process to exit, no pin to drop. */
export function drawAction(context: DrawContext): Action | null {
  const { prng, family, alive } = context;
  const live = [...alive.processes.keys()];
  const p = live[prng.below(live.length)];
  const kind = drawKind(context);
  switch (kind) {
    case 'fork':
      return context.forks >= MAX_PROCESSES - 1 ? null : { op: 'fork', p, child: context.forks + 1 };
    case 'exit':
      return live.length === 1 ? null : { op: 'exit', p };
    case 'unpin': {
      const pins = alive.pinsOf(p);
      return pins.length === 0 ? null : { op: 'unpin', p, id: pins[prng.below(pins.length)] };
    }
    case 'moveHome':
      return moveHome(context);
    case 'ksm':
      return { op: 'ksm' };
    case 'read':
      return { op: 'read', p, page: drawPage(context, p, kind) };
    case 'write': {
      const values = family.weights.ksm === undefined ? LETTERS_OF_VALUE : KSM_VALUES;
      return { op: 'write', p, page: drawPage(context, p, kind), value: prng.below(values) };
    }
    default: {
      const action = drawRangeAction(context, kind, p);
      return prng.chance(family.odd) ? makeOdd(prng, action) : action;
    }
  }
}

function drawKind({ prng, family }: DrawContext): DrawKind {
  const entries = Object.entries(family.weights) as [DrawKind, number][];
  let left = prng.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [kind, weight] of entries) {
    if (left < weight) return kind;
    left -= weight;
  }
  return 'write';
}

/** Mostly a mapped page: what hits nothing tells nothing. Mappings go anywhere in the region. */
function drawPage({ prng, family, alive, base, window }: DrawContext, p: number, kind: DrawKind): number {
  const mapped = [...alive.processes.get(p)!.keys()];
  const anywhere = Math.min(base + prng.below(family.region), window - 1);
  if (kind.startsWith('mmap') || mapped.length === 0 || prng.below(16) === 0) return anywhere;
  return mapped[prng.below(mapped.length)];
}

function drawRangeAction(context: DrawContext, kind: DrawKind, p: number): Action {
  const { prng, family, base, window } = context;
  const unit = family.weights.mmapHuge === undefined ? 1 : HUGE;
  const page = drawPage(context, p, kind);
  const first = page - (page % unit);
  const longest = Math.max(1, Math.floor(Math.min(family.maxPages, window - first) / unit));
  const count = Math.max(1, Math.min((1 + prng.below(longest)) * unit, window - first));
  const range: Range = { p, at: readAddress(first, 'at'), len: readLength(count, 'len') };
  const newCount = (1 + prng.below(Math.max(1, family.maxPages / unit))) * unit;
  const newLen = readLength(newCount, 'new');
  const room = Math.min(family.region, window - base) - Math.max(count, newCount) + 1;
  const target = base + prng.below(Math.max(1, room));
  const to = readAddress(target - (target % unit), 'to');
  return (
    mmapAction(context, kind, range) ??
    mremapAction(prng, kind, range, { to, newLen }) ??
    plainRangeAction(context, kind, range)
  );
}

/** Back to where the pages came from: there, mappings may merge with what they were parted from. */
function moveHome({ lastMove, alive }: DrawContext): Action | null {
  if (lastMove === null || lastMove.to === null || !alive.processes.has(lastMove.p)) return null;
  const { p, at, to, newLen } = lastMove;
  return { op: 'mremap', p, at: to, len: newLen, newLen, flags: ['maymove', 'fixed'], to: at };
}

function mmapAction({ prng }: DrawContext, kind: DrawKind, { p, at, len }: Range): Action | null {
  const prot = drawProt(prng);
  const hint = at.text === '0' ? null : at;
  const extra = prng.below(8) === 0 ? (['populate'] as const) : prng.below(16) === 0 ? (['noreserve'] as const) : [];
  const mmap = { op: 'mmap', p, len, prot, shared: false } as const;
  switch (kind) {
    case 'mmapFixed':
      return { ...mmap, at, flags: [prng.below(5) === 0 ? 'fixed_noreplace' : 'fixed', ...extra] };
    case 'mmap':
      return { ...mmap, at: null, flags: extra };
    case 'mmapHint':
      return { ...mmap, at: hint, flags: extra };
    case 'mmapShared':
      return { ...mmap, at, shared: true, flags: ['fixed', ...extra] };
    case 'mmapLocked':
      return { ...mmap, at, flags: ['fixed', 'locked'] };
    case 'mmapHuge':
      return { ...mmap, at, shared: prng.below(3) === 0, flags: ['fixed', 'hugetlb'] };
    default:
      return null;
  }
}

function mremapAction(
  prng: Prng,
  kind: DrawKind,
  range: Range,
  { to, newLen }: { readonly to: Operand; readonly newLen: Operand },
): Action | null {
  const mremap = { op: 'mremap', ...range } as const;
  switch (kind) {
    case 'move': {
      const kept = prng.below(8) === 0 ? (['dontunmap'] as const) : [];
      return { ...mremap, newLen: range.len, flags: ['maymove', 'fixed', ...kept], to };
    }
    case 'resize':
      return { ...mremap, newLen, flags: prng.below(3) === 0 ? [] : ['maymove'], to: null };
    case 'moveAnywhere':
      return { ...mremap, newLen, flags: ['maymove', 'fixed'], to };
    case 'dontUnmap':
      return { ...mremap, newLen: range.len, flags: ['maymove', 'dontunmap'], to: prng.below(4) === 0 ? to : null };
    default:
      return null;
  }
}

function plainRangeAction({ prng, pins }: DrawContext, kind: DrawKind, range: Range): Action {
  switch (kind) {
    case 'mprotect':
      return { op: 'mprotect', ...range, prot: drawProt(prng) };
    case 'madvise':
      return { op: 'madvise', ...range, advice: ADVICE[prng.below(ADVICE.length)] };
    case 'mergeable':
      return { op: 'madvise', ...range, advice: prng.below(6) === 0 ? 'unmergeable' : 'mergeable' };
    case 'mlock2':
      return {
        op: 'mlock2',
        ...range,
        flags: prng.below(12) === 0 ? ['bad8'] : prng.below(3) === 0 ? [] : ['onfault'],
      };
    case 'pin':
      return { op: 'pin', ...range, id: pins };
    case 'mlock':
    case 'munlock':
    case 'mseal':
    case 'migrate':
      return { op: kind, ...range };
    default:
      return { op: 'munmap', ...range };
  }
}

function drawProt(prng: Prng): Protection {
  const draw = prng.below(10);
  return draw < 7 ? 'rw' : draw < 9 ? 'r' : 'none';
}

/** One operand misaligned, empty or beyond all bounds. */
function makeOdd(prng: Prng, action: Action): Action {
  if (action.op === 'pin' || action.op === 'migrate' || !('len' in action)) return action;
  const length = readLength(pick(prng, ODD_LENGTHS), 'len');
  const where = 'at' in action && action.at !== null ? action.at.text : '0';
  const misaligned = /^\d+$/.test(where) ? `${where}+${1 + prng.below(4095)}` : where;
  const address = readAddress(prng.below(2) === 0 ? misaligned : pick(prng, ODD_ADDRESSES), 'at');
  if (action.op === 'mremap') {
    const changes: Partial<typeof action>[] = [
      { len: length },
      { newLen: length },
      { at: address },
      { to: address },
      { flags: ['fixed'] },
      { flags: ['dontunmap'] },
      { flags: ['maymove', 'bad8'] },
      { flags: [...new Set([...action.flags, 'dontunmap' as const])] },
    ];
    return { ...action, ...pick(prng, changes) };
  }
  return prng.below(2) === 0 ? { ...action, len: length } : { ...action, at: address };
}

function pick<Item>(prng: Prng, items: readonly Item[]): Item {
  return items[prng.below(items.length)];
}
