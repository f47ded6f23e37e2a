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
const RUNNING = 'Looking for bugs:';

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'stress',
    group: RUNNING,
    summary: 'real threads on a shared simulated machine, with every detector on',
    load: () => import('./commands/stress.ts'),
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
];
