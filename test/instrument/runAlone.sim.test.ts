import { describe, expect, it } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { createConformMachine, resetMachine } from '../../src/conform/machine.ts';
import { runAlone } from '../../src/instrument/runAlone.ts';
import { MachineAborted } from '../../src/cpu/machineAborted.ts';
import { SMALL_MACHINE } from '../../src/cpu/machine.ts';
import type { Task } from '../../src/cpu/task.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';

interface Run {
  readonly task: Task;
  readonly depth: number;
  readonly done: string[];
}

/** Takes mmapLock `depth` times. */
function lockMmap({ task, depth, done }: Run): Sim<void> {
  const mm = mmAlloc(task);
  for (let i = 0; i < depth; i++) mmapWriteLock(task, mm);
  mmapWriteUnlock(task, mm);
  mmput(task, mm);
  done.push('unlocked');
}

const machine = createConformMachine({ ...SMALL_MACHINE, cpus: 1 });

function lockTimes(depth: number): string[] {
  const done: string[] = [];
  runAlone(lockMmap, { task: resetMachine(machine, { rules: kernelPreset('linux-7.0').rules }), depth, done });
  return done;
}

describe('runAlone', () => {
  it('simulated code runs to its end', () => {
    expect(lockTimes(1)).toEqual(['unlocked']);
  });

  it('a lock that the only task holds already ends the run instead of hanging it', () => {
    expect(() => lockTimes(2)).toThrow(MachineAborted);
  });
});
