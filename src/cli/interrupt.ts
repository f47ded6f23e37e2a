/**
 * Ctrl-C. The first asks the run to stop, so that it ends with partial results, marked as such; the second ends the
 * process at once. The main thread must not block while a run goes on, or no handler would run.
 */
import { ExitCode } from './exitCode.ts';

const SIGNALS = { SIGINT: ExitCode.interrupted, SIGTERM: ExitCode.terminated } as const;

/**
 * Runs `work` with `stop` called at the first signal.
 * @returns what `work` returns, and the exit code of the signal, if there was one
 */
export async function interruptible<T>(
  stop: () => void,
  work: () => Promise<T>,
): Promise<{ result: T; signalled: ExitCode | undefined }> {
  let signalled: ExitCode | undefined;
  const handler = (signal: NodeJS.Signals): void => {
    if (signalled !== undefined) process.exit(signalled);
    signalled = SIGNALS[signal as keyof typeof SIGNALS];
    process.stderr.write('mmstorm: stopping; once more to quit at once\n');
    stop();
  };
  const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[];
  for (const name of names) process.on(name, handler);
  try {
    const result = await work();
    return { result, signalled };
  } finally {
    for (const name of names) process.off(name, handler);
  }
}
