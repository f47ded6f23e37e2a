/** The race detector on programs of the explored build: what it reports, and what orders accesses after all. */
import { describe, expect, it } from 'vitest';
import {
  cas,
  fetchAdd,
  load,
  loadAcquire,
  racyStore,
  readOnce,
  smpMb,
  store,
  storeRelease,
  writeOnce,
  xchg,
} from '../../src/arena/access.ts';
import { CACHES } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../../src/cpu/alloc.ts';
import type { Task } from '../../src/cpu/task.ts';
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { nameSites, withSites } from '../../src/detect/nameSites.ts';
import { explore, replay, type Exploration } from '../../src/explore/explore.ts';
import { ACCESS } from '../../src/instrument/runtime.ts';
import { hwLock, hwUnlock } from '../../src/locks/hwLock.ts';
import { rcuReadLock, rcuReadUnlock, synchronizeRcu } from '../../src/locks/rcu.ts';
import type { Kernel } from '../support/kernel.ts';
import { programOf } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';
import { LOCK_A, X, Y, bareProgram, type BareThread } from '../explore/bare.ts';

const EXECUTIONS = 300;

function search(first: BareThread, second: BareThread): Exploration {
  const program = { ...bareProgram([first, second]), observers: [new DataRaces()] };
  return explore({ ...program, executions: EXECUTIONS, seed: 1 });
}

/** Signature of the race that is found, or null. */
function raceOf(first: BareThread, second: BareThread): string | null {
  const { firstFailure } = search(first, second);
  return firstFailure === null ? null : firstFailure.violations[0].signature;
}

const plainWriter = (task: Task): Sim<void> => store(task.heap, X, 1);
const plainReader = (task: Task): Sim<void> => {
  load(task.heap, X);
};
const markedWriter = (task: Task): Sim<void> => writeOnce(task.heap, X, 1);
const markedReader = (task: Task): Sim<void> => {
  readOnce(task.heap, X);
};
const adder = (task: Task): Sim<void> => {
  fetchAdd(task.heap, X, 1);
};

describe.runIf(explored)('which pairs race', () => {
  it('plain against anything, if one of them writes', () => {
    expect(raceOf(plainWriter, plainWriter)).toBe('data-race memory.word plain write / plain write');
    expect(raceOf(plainWriter, plainReader)).toBe('data-race memory.word plain read / plain write');
    expect(raceOf(plainWriter, markedReader)).toBe('data-race memory.word READ_ONCE / plain write');
    expect(raceOf(plainReader, markedWriter)).toBe('data-race memory.word WRITE_ONCE / plain read');
    expect(raceOf(adder, plainReader)).toBe('data-race memory.word atomic read-modify-write / plain read');
  });

  it('reads do not, marked accesses do not, data_race() does not', () => {
    expect(raceOf(plainReader, plainReader)).toBeNull();
    expect(raceOf(markedWriter, markedReader)).toBeNull();
    expect(raceOf(markedWriter, adder)).toBeNull();
    expect(raceOf(adder, adder)).toBeNull();
    expect(raceOf((task: Task): Sim<void> => racyStore(task.heap, X, 1), plainReader)).toBeNull();
  });

  it('both accesses are named, and a replay finds the same ones', () => {
    const program = { ...bareProgram([plainWriter, markedReader]), observers: [new DataRaces()] };
    const { firstFailure } = explore({ ...program, executions: EXECUTIONS, seed: 1 });
    const { violations, schedule } = firstFailure!;
    const tasks = violations[0].accesses!.map(({ task }) => task);
    expect([...tasks].sort()).toEqual([0, 1]);
    expect(violations[0].accesses).toContainEqual(expect.objectContaining({ task: 0, at: X, kind: ACCESS.write }));
    expect(violations[0].accesses).toContainEqual(expect.objectContaining({ task: 1, at: X, kind: ACCESS.readOnce }));
    expect(replay(program, schedule).violations).toEqual(violations);
  });
});

describe.runIf(explored)('where they are', () => {
  it('a replay tells function and line of both accesses, and the signature is made of functions', () => {
    const program = { ...bareProgram([plainWriter, markedReader]), observers: [new DataRaces()] };
    const { firstFailure } = explore({ ...program, executions: EXECUTIONS, seed: 1 });
    const { violations, schedule } = firstFailure!;
    const sites = nameSites(program, schedule, violations[0].accesses!);
    expect(sites.map(({ frame }) => frame?.name).sort()).toEqual(['markedReader', 'plainWriter']);
    for (const { frame } of sites) expect(frame).toMatchObject({ file: 'test/detect/dataRaces.sim.test.ts' });
    const named = withSites(program, schedule, violations[0]);
    expect(named.signature).toBe('data-race memory.word markedReader / plainWriter');
    expect(named.evidence[0]).toMatch(/^task \d, step \d+: .* of memory\.word in \w+ \(test\/detect\/.*:\d+\)$/);
  });

  it('also of the free that an access races with', () => {
    const program = {
      ...programOf<Place>({ setup, threads: [replacer(false), rcuReader] }),
      observers: [new DataRaces()],
    };
    const { firstFailure } = explore({ ...program, executions: EXECUTIONS, seed: 1 });
    const named = withSites(program, firstFailure!.schedule, firstFailure!.violations[0]);
    expect(named.signature).toMatch(/^data-race anon_vma_chain\.vma /);
    expect(named.signature).toContain('rcuReader');
  });
});

/** Writes X plainly, then publishes it through Y; the reader reads X if it saw that. */
type Publish = (task: Task) => Sim<void>;
type See = (task: Task) => Sim<boolean>;

function publisher(publish: Publish): BareThread {
  return (task: Task): Sim<void> => {
    store(task.heap, X, 1);
    publish(task);
  };
}

function follower(see: See): BareThread {
  return (task: Task): Sim<void> => {
    if (see(task)) load(task.heap, X);
  };
}

const release = (task: Task): Sim<void> => storeRelease(task.heap, Y, 1);
const relaxed = (task: Task): Sim<void> => writeOnce(task.heap, Y, 1);
const fenced = (task: Task): Sim<void> => {
  smpMb();
  writeOnce(task.heap, Y, 1);
};
const swap = (task: Task): Sim<void> => {
  xchg(task.heap, Y, 1);
};
const seeAcquire = (task: Task): Sim<boolean> => loadAcquire(task.heap, Y) === 1;
const seeRelaxed = (task: Task): Sim<boolean> => readOnce(task.heap, Y) === 1;
const seeFenced = (task: Task): Sim<boolean> => {
  const seen = readOnce(task.heap, Y) === 1;
  smpMb();
  return seen;
};
const seeSwap = (task: Task): Sim<boolean> => cas(task.heap, Y, 1, 2) === 1;

describe.runIf(explored)('what orders', () => {
  it('release and acquire, read-modify-writes, full barriers', () => {
    expect(raceOf(publisher(release), follower(seeAcquire))).toBeNull();
    expect(raceOf(publisher(swap), follower(seeAcquire))).toBeNull();
    expect(raceOf(publisher(release), follower(seeSwap))).toBeNull();
    expect(raceOf(publisher(fenced), follower(seeFenced))).toBeNull();
    expect(raceOf(publisher(fenced), follower(seeAcquire))).toBeNull();
    expect(raceOf(publisher(release), follower(seeFenced))).toBeNull();
  });

  it('not half of it', () => {
    expect(raceOf(publisher(relaxed), follower(seeAcquire))).not.toBeNull();
    expect(raceOf(publisher(release), follower(seeRelaxed))).not.toBeNull();
    expect(raceOf(publisher(relaxed), follower(seeSwap))).not.toBeNull();
  });

  it('a lock, and only the same lock', () => {
    const under = (lock: number): BareThread => {
      return (task: Task): Sim<void> => {
        hwLock(task, lock);
        store(task.heap, X, load(task.heap, X) + 1);
        hwUnlock(task, lock);
      };
    };
    expect(raceOf(under(LOCK_A), under(LOCK_A))).toBeNull();
    expect(raceOf(under(LOCK_A), under(LOCK_A + 1))).not.toBeNull();
  });
});

interface Place {
  readonly root: number;
}

function setup(kernel: Kernel): Sim<Place> {
  const root = kernel.words(1);
  const object = kmemCacheAlloc(kernel.task, CACHES.anonVmaChain);
  store(kernel.heap, object, 1);
  writeOnce(kernel.heap, root, object);
  return { root };
}

const rcuReader = (task: Task, { root }: Place): Sim<void> => {
  rcuReadLock(task);
  const object = loadAcquire(task.heap, root);
  if (object !== 0) load(task.heap, object);
  rcuReadUnlock(task);
};

/** Replaces the object and frees the old one, after a grace period or at once. */
function replacer(waits: boolean): (task: Task, place: Place) => Sim<void> {
  return (task: Task, { root }: Place): Sim<void> => {
    const fresh = kmemCacheAlloc(task, CACHES.anonVmaChain);
    store(task.heap, fresh, 2);
    const old = xchg(task.heap, root, fresh);
    if (waits) synchronizeRcu(task);
    kmemCacheFree(task, CACHES.anonVmaChain, old);
  };
}

function searchKernel(replace: (task: Task, place: Place) => Sim<void>): Exploration {
  const program = programOf<Place>({ setup, threads: [replace, rcuReader] });
  return explore({ ...program, observers: [new DataRaces()], executions: EXECUTIONS, seed: 1 });
}

describe.runIf(explored)('objects', () => {
  it('a grace period orders the readers before the free', () => {
    expect(searchKernel(replacer(true)).firstFailure).toBeNull();
  });

  it('without it the free races with a reader, whichever came first', () => {
    const { firstFailure } = searchKernel(replacer(false));
    expect(firstFailure!.violations[0].kind).toBe('data-race');
    expect(firstFailure!.violations[0].signature).toContain('anon_vma_chain.vma free / plain read');
  });

  it('who comes to an object unordered races with its allocation', () => {
    const careless = (task: Task, { root }: Place): Sim<void> => {
      const object = readOnce(task.heap, root);
      if (object !== 0) load(task.heap, object + 1);
    };
    const program = programOf<Place>({ setup, threads: [replacer(true), careless] });
    const found = explore({ ...program, observers: [new DataRaces()], executions: 1000, seed: 1, keepGoing: true });
    expect(found.verdicts.violation).toBeGreaterThan(0);
  });
});
