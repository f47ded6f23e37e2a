/** Runs the built command line as a user would: a process of its own, killed when it takes too long. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { inject } from 'vitest';

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs?: number;
  /** What the command reads from its standard input; nothing without it. */
  input?: Buffer;
}

/** Path of the built command. Throws when the source did not build. */
export function builtCli(): string {
  const buildError = inject('buildError');
  if (buildError !== '') throw new Error(buildError);
  return join(import.meta.dirname, '../../dist/cli.mjs');
}

/** Throws when the command does not end in time. Colours are off unless `env` asks for them. */
export function runMmstorm(
  args: readonly string[],
  { cwd, env = {}, timeoutMs = 20_000, input }: RunOptions = {},
): Outcome {
  const base = { PATH: process.env.PATH ?? '', TERM: 'xterm' };
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [builtCli(), ...args], {
    cwd,
    input: input ?? '',
    env: { ...base, ...env },
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}
