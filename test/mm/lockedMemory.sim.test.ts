/** What VM_LOCKED means to calls that move and unmap: the counter, the limit, population. The flag is set by hand. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { mmLockedVm, setMmLockedVm, setMmMemlockLimit } from '../../src/layout/mm.ts';
import { VM_LOCKED, setVmaFlags, vmaFlags } from '../../src/layout/vma.ts';
import { vmaPages } from '../../src/mm/vma.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { mmTest, type Sandbox } from './sandbox.ts';
import { BASE, runScript } from './vmaScript.ts';

function lockByHand(box: Sandbox, page: number): Sim<void> {
  const { heap, mm } = box;
  const vma = vmaLookup(box.task, mm, (BASE + page) as Vpn);
  setVmaFlags(heap, vma, vmaFlags(heap, vma) | VM_LOCKED);
  setMmLockedVm(heap, mm, mmLockedVm(heap, mm) + vmaPages(heap, vma));
}

function isLocked(box: Sandbox, page: number): Sim<boolean> {
  const vma = vmaLookup(box.task, box.mm, (BASE + page) as Vpn);
  return (vmaFlags(box.heap, vma) & VM_LOCKED) !== 0;
}

describe('locked memory', () => {
  const rows = [
    { what: 'grows in place, populated', script: 'remap 0 4 8 - = 0 data 0 abcd0000', locked: 8 },
    { what: 'grows elsewhere, populated', script: 'map 4 1 r\n remap 0 4 6 MF 50 = 50 data 50 abcd00', locked: 6 },
    { what: 'moves', script: 'move 0 4 50 data 50 abcd', locked: 4 },
    { what: 'moves in part', script: 'move 1 2 50 data 50 bc', locked: 4 },
    { what: 'shrinks', script: 'remap 0 4 1 - = 0', locked: 1 },
    { what: 'moves and shrinks', script: 'remap 0 4 2 MF 50 = 50', locked: 2 },
    { what: 'is unmapped', script: 'unmap 1 2', locked: 2 },
    { what: 'is replaced', script: 'map 1 2 rw', locked: 2 },
    { what: 'does not merge with what is not locked', script: 'map 4 2 rw see 0 wwww|ww', locked: 4 },
    { what: 'merges again at home', script: 'move 1 2 50\n move 50 2 1 see 0 wwww', locked: 4 },
    // As in Linux since 6.15: the source is unlocked, but what it had locked is not subtracted.
    { what: 'stays counted after MREMAP_DONTUNMAP', script: 'keep 0 4 50', locked: 8 },
    { what: 'stays counted even when both are gone', script: 'keep 0 4 50\n unmap 0 100', locked: 4 },
  ];
  for (const { what, script, locked } of rows) {
    mmTest(what, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw\n write 0 abcd');
      lockByHand(box, 0);
      runScript(box, script);
      expect(mmLockedVm(box.heap, box.mm)).toBe(locked);
    });
  }

  mmTest('is refused beyond the limit, before anything is unmapped', (box: Sandbox): Sim<void> => {
    setMmMemlockLimit(box.heap, box.mm, 6);
    runScript(box, 'map 0 4 rw\n write 0 abcd\n map 100 8 r');
    lockByHand(box, 0);
    runScript(
      box,
      `
      remap 0 4 7 - = EAGAIN
      remap 0 4 7 M = EAGAIN
      remap 0 4 7 MF 100 = EAGAIN  see 100 rrrrrrrr
      move 0 4 50
      remap 50 4 6 - = 50          data 50 abcd00
    `,
    );
    expect(mmLockedVm(box.heap, box.mm)).toBe(6);
  });

  mmTest('MREMAP_DONTUNMAP of a part unlocks the whole source', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw\n write 0 abcd');
    lockByHand(box, 0);
    runScript(box, 'keep 0 2 50 see 0 wwww');
    expect([isLocked(box, 0), isLocked(box, 3), isLocked(box, 50)]).toEqual([false, false, true]);
  });
});
