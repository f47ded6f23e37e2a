/** Draws of a property test, and the operations they mean once it is known which processes live. */
import fc from 'fast-check';
import { readAddress, readLength } from '../../src/conform/readOperand.ts';
import type { Action } from '../../src/conform/traceFormat.ts';

/** Pages of the window: small, so that mappings meet. */
export const WINDOW = 24;
const MAX_PROCESSES = 4;
/** What most draws find mapped when a case begins. */
export const FIRST: Action = {
  op: 'mmap',
  p: 0,
  at: readAddress(4, 'at'),
  len: readLength(14, 'len'),
  prot: 'rw',
  shared: false,
  flags: ['fixed'],
};

/** A draw that becomes an action once it is known which processes live and what they have mapped. */
export interface Command {
  readonly kind: string;
  readonly who: number;
  readonly at: number;
  readonly len: number;
  readonly other: number;
  readonly prot: 'none' | 'r' | 'rw';
}

const WEIGHTS: Readonly<Record<string, number>> = {
  write: 8,
  read: 3,
  mmapFixed: 4,
  mmap: 3,
  mmapHint: 1,
  munmap: 1,
  mprotect: 4,
  move: 4,
  resize: 3,
  dontUnmap: 2,
  fork: 2,
  exit: 1,
  pin: 1,
  unpin: 1,
  migrate: 2,
};

export const arbitraryCommand = fc.record<Command>({
  kind: fc.oneof(...Object.entries(WEIGHTS).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind) }))),
  who: fc.nat(MAX_PROCESSES - 1),
  at: fc.nat(WINDOW - 1),
  len: fc.integer({ min: 1, max: 8 }),
  other: fc.nat(255),
  prot: fc.oneof({ weight: 5, arbitrary: fc.constant('rw' as const) }, fc.constantFrom('none' as const, 'r' as const)),
});

/** What a draw must know of the processes that live. */
export interface LiveProcesses {
  /** Mapped pages of each. */
  readonly processes: ReadonlyMap<number, ReadonlyMap<number, unknown>>;
  readonly pinsOf: (p: number) => readonly number[];
}

/** The action a command means now, or null when it means none. `forks` and `pins` were tried so far. */
export function actionOf(command: Command, alive: LiveProcesses, forks: number, pins: number): Action | null {
  const live = [...alive.processes.keys()];
  const p = live[command.who % live.length];
  const first = startOf(command, [...alive.processes.get(p)!.keys()]);
  const count = Math.min(command.len, WINDOW - first);
  const [at, len] = [readAddress(first, 'at'), readLength(count, 'len')];
  const to = readAddress(command.other % (WINDOW - count + 1), 'to');
  const newLen = readLength(1 + (command.other % 8), 'new');
  switch (command.kind) {
    case 'write':
      return { op: 'write', p, page: first, value: command.other };
    case 'read':
      return { op: 'read', p, page: first };
    case 'mmapFixed': {
      const flag = command.other % 4 === 0 ? 'fixed_noreplace' : 'fixed';
      return { op: 'mmap', p, at, len, prot: command.prot, shared: false, flags: [flag] };
    }
    case 'mmap':
      return { op: 'mmap', p, at: null, len, prot: command.prot, shared: false, flags: [] };
    case 'mmapHint':
      return { op: 'mmap', p, at: first === 0 ? null : at, len, prot: command.prot, shared: false, flags: [] };
    case 'mprotect':
      return { op: 'mprotect', p, at, len, prot: command.prot };
    case 'move':
      return { op: 'mremap', p, at, len, newLen: len, flags: ['maymove', 'fixed'], to };
    case 'resize':
      return { op: 'mremap', p, at, len, newLen, flags: command.other % 3 === 0 ? [] : ['maymove'], to: null };
    case 'dontUnmap':
      return { op: 'mremap', p, at, len, newLen: len, flags: ['maymove', 'dontunmap'], to: null };
    case 'fork':
      return forks >= MAX_PROCESSES - 1 ? null : { op: 'fork', p, child: forks + 1 };
    case 'exit':
      return live.length === 1 ? null : { op: 'exit', p };
    case 'pin':
      return { op: 'pin', p, at, len, id: pins };
    case 'unpin': {
      const [id] = alive.pinsOf(p);
      return id === undefined ? null : { op: 'unpin', p, id };
    }
    case 'migrate':
      return { op: 'migrate', p, at, len };
    default:
      return { op: 'munmap', p, at, len };
  }
}

/** Mostly a mapped page: what hits nothing tells nothing. Mappings go anywhere. */
function startOf({ kind, at, other }: Command, mapped: readonly number[]): number {
  const isAnywhere = kind.startsWith('mmap') || other % 16 === 0 || mapped.length === 0;
  return isAnywhere ? at : mapped[at % mapped.length];
}
