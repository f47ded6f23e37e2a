/**
 * `mmstorm/memory`: shared memory for programs that run on threads as they are and are explored when the pass has rewritten
 * them. There the package's explored twin of this module takes its place.
 */

export { createHeap as createMemory, attachHeap as attachMemory, type Heap as Memory } from '../arena/heap.ts';
export {
  cas,
  fetchAdd,
  fetchAnd,
  fetchOr,
  fetchSub,
  load,
  loadAcquire,
  readOnce,
  store,
  storeRelease,
  writeOnce,
  xchg,
} from '../arena/access.ts';
export { lockWord, lockWordShared, unlockWord, unlockWordShared } from '../arena/wordLock.ts';
export { chooseOption, parkWord, relax, unparkWord } from '../arena/wordWait.ts';
export type { Access, Sim } from '../base/sim.ts';
