/** What a command file gives to the frame. To add a command: one file in commands/, one row in commandTable.ts. */
import type { Command } from 'commander';
import type { ExitCode } from './exitCode.ts';

/** Does the work of a command. `options` are commander's, already parsed; `args` are the operands. */
export type Run<Options> = (options: Options, args: readonly string[]) => ExitCode | Promise<ExitCode>;

/** Ties a (sub)command to what it runs; the exit code it returns becomes the process's. */
export type Bind = <Options>(command: Command, run: Run<Options>) => void;

export interface CliCommand {
  /** Declares options, operands and subcommands on the prepared `command`, and binds what it runs. */
  build(command: Command, bind: Bind): void;
}
