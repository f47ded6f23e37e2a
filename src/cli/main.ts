#!/usr/bin/env node
/**
 * The process around the command line: exit code, a reader that goes away, errors of our own. Never calls
 * process.exit after output: a pipe would be cut short.
 */
import { ExitCode } from './exitCode.ts';
import { runCli } from './program.ts';

// Before any command is loaded: places in findings and in our own errors are those of the source, not of the bundle.
process.setSourceMapsEnabled(true);

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.readerClosed);
    throw error;
  });
}

// A stray rejection would otherwise end the process with 1, which means findings.
process.on('uncaughtException', (error) => {
  internalError(error);
  process.exit();
});

function internalError(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`mmstorm: internal error, please report it\n${text}\n`);
  process.exitCode = ExitCode.internal;
}

try {
  process.exitCode = await runCli(process.argv.slice(2));
} catch (error) {
  internalError(error);
}
