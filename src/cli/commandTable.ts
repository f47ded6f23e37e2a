/** The commands, in the order of `mmstorm --help`. A command's file is loaded only when it is the one asked for. */
import type { CliCommand } from './command.ts';

export interface CommandRow {
  name: string;
  /** Heading in the help. */
  group: string;
  summary: string;
  load: () => Promise<{ command: CliCommand }>;
}

const CATALOGUE = 'What there is:';
const MEASURING = 'Measuring:';
const RUNNING = 'Looking for bugs:';

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'stress',
    group: RUNNING,
    summary: 'real threads on a shared simulated machine, with every detector on',
    load: () => import('./commands/stress.ts'),
  },
  {
    name: 'hunt',
    group: RUNNING,
    summary: 'explores interleavings of a scenario until its bug is found',
    load: () => import('./commands/hunt.ts'),
  },
  {
    name: 'verify',
    group: RUNNING,
    summary: 'explores every interleaving of a scenario within a bound, or a sample of them',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'replay',
    group: RUNNING,
    summary: 'runs one recorded interleaving again, exactly',
    load: () => import('./commands/replay.ts'),
  },
  {
    name: 'conform',
    group: RUNNING,
    summary: 'recorded traces of a real kernel against the simulated one',
    load: () => import('./commands/conform.ts'),
  },
  {
    name: 'lockdep',
    group: RUNNING,
    summary: 'lock sequences, such as the kernel self-tests, through the lock validator',
    load: () => import('./commands/lockdep.ts'),
  },
  {
    name: 'bench',
    group: MEASURING,
    summary: 'what locks and operations cost, against the raw floor in the same run',
    load: () => import('./commands/bench.ts'),
  },
  {
    name: 'locks',
    group: CATALOGUE,
    summary: 'the lock classes, the order a run takes them in, and how it compares with the documents',
    load: () => import('./commands/locks.ts'),
  },
  {
    name: 'rules',
    group: CATALOGUE,
    summary: 'the switches of the simulated kernel, their values and references',
    load: () => import('./commands/rules.ts'),
  },
  {
    name: 'kernels',
    group: CATALOGUE,
    summary: 'the kernel presets: complete sets of rules',
    load: () => import('./commands/kernels.ts'),
  },
  {
    name: 'bugs',
    group: CATALOGUE,
    summary: 'the bug catalogue: what is set wrong, what must find it',
    load: () => import('./commands/bugs.ts'),
  },
  {
    name: 'scenarios',
    group: CATALOGUE,
    summary: 'the scenarios: what can be explored, with which bug and which threads',
    load: () => import('./commands/scenarios.ts'),
  },
];
