/** Operations of the mm, per page, with lockdep and checks off. */

import type { MmPtr, Vpn } from '../../src/layout/ids.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE } from '../../src/mm/syscallFlags.ts';
import { sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import type { BenchCase, Measured } from '../case.ts';
import { createWorld, mapRange, touch, type World } from '../world.ts';

const PAGES = 512;
const BYTES = PAGES * PAGE_SIZE;
/** Not a multiple of 2 MiB away, so that moves go entry by entry. */
const OTHER_PLACE = PAGES + 7;

function mmCase(name: string, setup: () => Measured, unit = 'page', batch = PAGES): BenchCase {
  return { name, group: 'mm', unit, batch, setup };
}

function unmap({ task }: World, start: number, pages: number): void {
  sysMunmap(task, vpnToAddr(start), pages * PAGE_SIZE);
}

function writeFaults(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  return {
    run: () => touch(world, 0, PAGES),
    reset: () => {
      unmap(world, 0, PAGES);
      mapRange(world, 0, PAGES);
    },
  };
}

function readFaults(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  return {
    run: () => {
      for (let vpn = 0; vpn < PAGES; vpn++) userRead(world.task, vpn as Vpn, 0);
    },
    reset: () => {
      unmap(world, 0, PAGES);
      mapRange(world, 0, PAGES);
    },
  };
}

function tlbHits(): Measured {
  const world = createWorld();
  mapRange(world, 0, 1);
  touch(world, 0, 1);
  return {
    run: () => {
      for (let i = 0; i < PAGES; i++) userWrite(world.task, 0 as Vpn, 0, i);
    },
  };
}

function forkPages(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  touch(world, 0, PAGES);
  let child = 0;
  return {
    run: () => {
      child = dupMm(world.task, world.mm);
      if (child < 0) throw new Error(`fork failed: ${child}`);
    },
    reset: () => mmput(world.task, child as MmPtr),
  };
}

function cowFaults(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  touch(world, 0, PAGES);
  let child = dupMm(world.task, world.mm);
  return {
    run: () => touch(world, 0, PAGES),
    reset: () => {
      mmput(world.task, child as MmPtr);
      child = dupMm(world.task, world.mm);
    },
  };
}

function munmapPages(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  touch(world, 0, PAGES);
  return {
    run: () => unmap(world, 0, PAGES),
    reset: () => {
      mapRange(world, 0, PAGES);
      touch(world, 0, PAGES);
    },
  };
}

function mprotectPages(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  touch(world, 0, PAGES);
  let prot = PROT_READ;
  return {
    run: () => {
      sysMprotect(world.task, vpnToAddr(0), BYTES, prot);
      prot = prot === PROT_READ ? PROT_READ | PROT_WRITE : PROT_READ;
    },
  };
}

function mremapPages(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  touch(world, 0, PAGES);
  let from = 0;
  return {
    run: () => {
      const to = from === 0 ? OTHER_PLACE : 0;
      sysMremap(world.task, vpnToAddr(from), BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, vpnToAddr(to));
      from = to;
    },
  };
}

function migratePages(): Measured {
  const world = createWorld();
  mapRange(world, 0, PAGES);
  touch(world, 0, PAGES);
  return { run: () => void migrateRange(world.task, world.mm, 0 as Vpn, PAGES, 'sync') };
}

export const MM_CASES: readonly BenchCase[] = [
  mmCase('write to a page in the TLB', tlbHits, 'access'),
  mmCase('anonymous write fault', writeFaults),
  mmCase('read fault (zero page)', readFaults),
  mmCase('copy-on-write fault', cowFaults),
  mmCase('forked page', forkPages),
  mmCase('munmap', munmapPages),
  mmCase('mprotect', mprotectPages),
  mmCase('mremap (entry by entry)', mremapPages),
  mmCase('migrate (synchronous)', migratePages),
];
