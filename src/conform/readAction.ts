/** One step of a trace file: operation, operands and result. */

import { Malformed, child, integerOf, nameOf, namesOf, objectOf, textOf, type JsonObject } from './malformed.ts';
import { readAddress, readLength } from './readOperand.ts';
import {
  ADVICE,
  MAX_PROCESSES,
  MLOCK2_FLAGS,
  MMAP_FLAGS,
  MREMAP_FLAGS,
  PROTECTIONS,
  SIGNALS,
  WINDOW_PAGES,
  type Action,
  type Op,
  type Result,
} from './traceFormat.ts';

/** Operands of each operation besides `op`, `r` and `d`. */
const OPERANDS: Readonly<Record<Op, readonly string[]>> = {
  mmap: ['p', 'at', 'len', 'prot', 'shared', 'flags'],
  munmap: ['p', 'at', 'len'],
  mprotect: ['p', 'at', 'len', 'prot'],
  mremap: ['p', 'at', 'len', 'new', 'flags', 'to'],
  madvise: ['p', 'at', 'len', 'advice'],
  mlock: ['p', 'at', 'len'],
  mlock2: ['p', 'at', 'len', 'flags'],
  munlock: ['p', 'at', 'len'],
  mseal: ['p', 'at', 'len'],
  read: ['p', 'at'],
  write: ['p', 'at', 'val'],
  fork: ['p', 'child'],
  exit: ['p'],
  pin: ['p', 'at', 'len', 'id'],
  unpin: ['p', 'id'],
  migrate: ['p', 'at', 'len'],
  ksm: [],
};
const OPS = Object.keys(OPERANDS) as Op[];
const ANY_KEY = [...new Set(Object.values(OPERANDS).flat()), 'op', 'r', 'd'];

/** The step as an object with the keys its operation has. @throws Malformed */
export function readStepObject(value: unknown, field: string): JsonObject {
  const { op } = objectOf(value, field, ANY_KEY);
  const known = OPERANDS[nameOf(op, child(field, 'op'), OPS)];
  return objectOf(value, field, [...known, 'op', 'r', 'd']);
}

/** What a step does. @throws Malformed */
export function readAction(step: JsonObject, field: string): Action {
  const at = (key: string): string => child(field, key);
  const op = step['op'] as Op;
  if (op === 'ksm') return { op };
  const p = integerOf(step['p'], at('p'), 0, MAX_PROCESSES - 1);
  switch (op) {
    case 'mmap':
      return readMmap(step, field, p);
    case 'read':
      return { op, p, page: readPage(step['at'], at('at')) };
    case 'write':
      return { op, p, page: readPage(step['at'], at('at')), value: integerOf(step['val'], at('val'), 0, 255) };
    case 'fork':
      return { op, p, child: integerOf(step['child'], at('child'), 1, MAX_PROCESSES - 1) };
    case 'exit':
      return { op, p };
    case 'unpin':
      return { op, p, id: readId(step['id'], at('id')) };
    default:
      return readRangeAction(step, field, op, p);
  }
}

function readMmap(step: JsonObject, field: string, p: number): Action {
  const at = (key: string): string => child(field, key);
  const shared = step['shared'] ?? false;
  if (typeof shared !== 'boolean' && shared !== 1) throw new Malformed(at('shared'), 'expected true or 1');
  return {
    op: 'mmap',
    p,
    at: step['at'] === undefined ? null : readAddress(step['at'], at('at')),
    len: readLength(step['len'], at('len')),
    prot: nameOf(step['prot'], at('prot'), PROTECTIONS),
    shared: shared !== false,
    flags: namesOf(step['flags'], at('flags'), MMAP_FLAGS),
  };
}

function readRangeAction(
  step: JsonObject,
  field: string,
  op: 'munmap' | 'mprotect' | 'mremap' | 'madvise' | 'mlock' | 'mlock2' | 'munlock' | 'mseal' | 'migrate' | 'pin',
  p: number,
): Action {
  const at = (key: string): string => child(field, key);
  const range = { p, at: readAddress(step['at'], at('at')), len: readLength(step['len'], at('len')) };
  switch (op) {
    case 'mprotect':
      return { op, ...range, prot: nameOf(step['prot'], at('prot'), PROTECTIONS) };
    case 'madvise':
      return { op, ...range, advice: nameOf(step['advice'], at('advice'), ADVICE) };
    case 'pin':
      return { op, ...range, id: readId(step['id'], at('id')) };
    case 'mlock2':
      return { op, ...range, flags: namesOf(step['flags'], at('flags'), MLOCK2_FLAGS) };
    case 'mremap': {
      const to = step['to'] === undefined ? null : readAddress(step['to'], at('to'));
      const flags = namesOf(step['flags'], at('flags'), MREMAP_FLAGS);
      return { op, ...range, newLen: readLength(step['new'], at('new')), flags, to };
    }
    default:
      return { op, ...range };
  }
}

/** The recorded result of a step. @throws Malformed when the operation cannot have it */
export function readResult(value: unknown, field: string, { op }: Action): Result {
  if (typeof value === 'number') return integerOf(value, field, 0, largestResult(op));
  const text = textOf(value, field);
  const isAccess = op === 'read' || op === 'write';
  if (isAccess ? (SIGNALS as readonly string[]).includes(text) : /^E[A-Z0-9]+$/.test(text)) return text;
  throw new Malformed(field, `expected a number or ${isAccess ? SIGNALS.join(', ') : 'the name of an errno'}`);
}

function largestResult(op: Op): number {
  if (op === 'mmap' || op === 'mremap') return WINDOW_PAGES - 1;
  if (op === 'fork') return MAX_PROCESSES - 1;
  return op === 'read' ? 255 : 0;
}

function readPage(value: unknown, field: string): number {
  return integerOf(value, field, 0, WINDOW_PAGES - 1);
}

function readId(value: unknown, field: string): number {
  return integerOf(value, field, 0, Number.MAX_SAFE_INTEGER);
}
