/** Pages faulted in ahead of use. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { zeroPfn } from '../../src/layout/page.ts';
import { pteIsNone, pteIsWritable } from '../../src/layout/pte.ts';
import { faultInPages } from '../../src/mm/populate.ts';
import { PROT_NONE, PROT_READ } from '../../src/mm/syscallFlags.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import {
  failingTask,
  forkProcess,
  mapPages,
  mmTest,
  pageState,
  pfnAtVpn,
  pteAt,
  readIn,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10;

function populate(box: Sandbox, start: number, end: number, task = box.task): Sim<void> {
  faultInPages(task, box.mm, start as Vpn, end as Vpn);
}

describe('faultInPages', () => {
  mmTest(
    'writes what may be written, reads the rest, passes over what has no access and over holes',
    (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 2);
      mapPages(box, PAGE + 2, 2, PROT_READ);
      mapPages(box, PAGE + 4, 1, PROT_NONE);
      mapPages(box, PAGE + 7, 2);
      populate(box, PAGE + 1, PAGE + 8);
      expect(pteIsNone(pteAt(box, PAGE))).toBe(true);
      expect(pteIsWritable(pteAt(box, PAGE + 1))).toBe(true);
      expect(pfnAtVpn(box, PAGE + 2)).toBe(zeroPfn(box.heap));
      expect(pfnAtVpn(box, PAGE + 3)).toBe(zeroPfn(box.heap));
      expect(pteIsNone(pteAt(box, PAGE + 4))).toBe(true);
      expect(pteIsWritable(pteAt(box, PAGE + 7))).toBe(true);
      expect(pteIsNone(pteAt(box, PAGE + 8))).toBe(true);
      expect(pageState(box, pfnAtVpn(box, PAGE + 7))).toBe('1/1e');
    },
  );

  mmTest('breaks COW', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE as Vpn, 0, 5);
    const child = forkProcess(box);
    const shared = pfnAtVpn(box, PAGE);
    populate(box, PAGE, PAGE + 1);
    expect(pfnAtVpn(box, PAGE)).not.toBe(shared);
    expect(readIn(box.task, child, PAGE)).toBe(5);
  });

  mmTest('without memory goes on with the next mapping', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    mapPages(box, PAGE + 3, 1);
    userWrite(box.task, PAGE as Vpn, 0, 5);
    const task = failingTask(box.task, 0);
    populate(box, PAGE, PAGE + 4, task);
    expect(task.injectedFailures).toBe(1);
    expect(pteIsNone(pteAt(box, PAGE + 1))).toBe(true);
    expect(pteIsWritable(pteAt(box, PAGE + 3))).toBe(true);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(3);
  });
});
