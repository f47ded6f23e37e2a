/**
 * The twin of access.ts in the explored build: the same accesses, each of them logged. Tasks are coroutines of one
 * thread, so none of them need be an Atomics operation. With store buffers (storeBuffer.ts) a store reaches memory later; whatever
 * reads and writes in one is a full barrier, as on x86, also when it does not store.
 *
 * Nothing is logged while the world is set up, judged at the end or looked at by a detector.
 */

import { ACCESS, L, LOG_MODE, logAccess } from '../instrument/runtime.ts';
import type { Access } from '../base/sim.ts';
import type { Heap } from './heap.ts';
import { bufferStore, drainOwnStores } from './storeBuffer.ts';

export function load(heap: Heap, at: number): Access<number> {
  return logRead(heap, at, ACCESS.read);
}

export function store(heap: Heap, at: number, value: number): Access<void> {
  logWrite(heap, at, ACCESS.write, value);
}

export function racyLoad(heap: Heap, at: number): Access<number> {
  return logRead(heap, at, ACCESS.racyRead);
}

export function racyStore(heap: Heap, at: number, value: number): Access<void> {
  logWrite(heap, at, ACCESS.racyWrite, value);
}

export function readOnce(heap: Heap, at: number): Access<number> {
  return logRead(heap, at, ACCESS.readOnce);
}

export function writeOnce(heap: Heap, at: number, value: number): Access<void> {
  logWrite(heap, at, ACCESS.writeOnce, value);
}

export function loadAcquire(heap: Heap, at: number): Access<number> {
  return logRead(heap, at, ACCESS.acquire);
}

export function storeRelease(heap: Heap, at: number, value: number): Access<void> {
  logWrite(heap, at, ACCESS.release, value);
}

export function cas(heap: Heap, at: number, expected: number, desired: number): Access<number> {
  const old = heap[at];
  // An expected value is compared as the word it would be.
  if (old === (expected | 0)) modify(heap, at, desired);
  else {
    fullBarrier();
    logAccess(at, ACCESS.casFailed, old);
  }
  return old;
}

export function xchg(heap: Heap, at: number, value: number): Access<number> {
  return modify(heap, at, value);
}

export function fetchAdd(heap: Heap, at: number, value: number): Access<number> {
  return modify(heap, at, heap[at] + value);
}

export function fetchSub(heap: Heap, at: number, value: number): Access<number> {
  return modify(heap, at, heap[at] - value);
}

export function fetchOr(heap: Heap, at: number, value: number): Access<number> {
  return modify(heap, at, heap[at] | value);
}

export function fetchAnd(heap: Heap, at: number, value: number): Access<number> {
  return modify(heap, at, heap[at] & value);
}

export function smpMb(): Access<void> {
  fullBarrier();
  logAccess(0, ACCESS.fence, 0);
}

function logRead(heap: Heap, at: number, kind: number): number {
  const value = heap[at];
  logAccess(at, kind, value);
  return value;
}

function logWrite(heap: Heap, at: number, kind: number, value: number): void {
  if (L.buffered && L.mode !== LOG_MODE.off) {
    bufferStore(heap, at, kind, value);
    return;
  }
  heap[at] = value;
  logAccess(at, kind, value);
}

function fullBarrier(): void {
  if (L.buffered) drainOwnStores();
}

/** A read-modify-write. @returns what the word was */
function modify(heap: Heap, at: number, value: number): number {
  fullBarrier();
  const old = heap[at];
  heap[at] = value;
  logAccess(at, ACCESS.rmw, value);
  return old;
}
