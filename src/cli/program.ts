/** Builds the commander program for one command line, runs it, and turns every outcome into an exit code. */
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { UsageError } from '../base/usageError.ts';
import type { Bind, Run } from './command.ts';
import { COMMANDS } from './commandTable.ts';
import { ExitCode } from './exitCode.ts';

const EXIT_CODES = `
Exit codes:
  0  nothing found, all done       4    nothing matched
  1  findings, or a divergence     5    no answer before a limit
  2  usage or input error          70   internal error
  3  threshold or budget missed    130  interrupted, partial results printed`;

/**
 * Runs `argv` (without node and script). Returns the exit code; errors of usage are already printed, as one line.
 * Anything else that goes wrong is thrown: an internal error.
 */
export async function runCli(argv: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok;
  const bind: Bind = <Options>(command: Command, run: Run<Options>) => {
    command.action(async () => {
      exitCode = await run(command.opts() as Options, command.args);
    });
  };
  try {
    if (argv.length === 0) throw new UsageError('no command given');
    const program = await buildProgram(argv, bind);
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.ok;
    if (!(error instanceof CommanderError || error instanceof UsageError)) throw error;
    process.stderr.write(`${usageLine(error.message, commandName(argv))}\n`);
    return ExitCode.usage;
  }
}

async function buildProgram(argv: readonly string[], bind: Bind): Promise<Command> {
  const program = new Command('mmstorm');
  program
    .description('A laboratory for the locking of Linux memory management.')
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText('after', EXIT_CODES);
  const asked = commandName(argv);
  for (const row of COMMANDS) {
    const command = program.command(row.name).summary(row.summary).description(sentence(row.summary));
    command.helpGroup(row.group).allowExcessArguments(false);
    if (row.name === asked) (await row.load()).command.build(command, bind);
  }
  return program;
}

/** The command that `argv` asks for. No option of the program itself takes a value, so it is the first operand. */
function commandName(argv: readonly string[]): string | undefined {
  const operands = argv.filter((arg) => !arg.startsWith('-'));
  const name = operands[0] === 'help' ? operands[1] : operands[0];
  return COMMANDS.some((row) => row.name === name) ? name : undefined;
}

/** One line, whatever commander or a hostile argument put into the message. */
function usageLine(message: string, command: string | undefined): string {
  const text = message
    .replace(/^error: /, '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .replace(/[ .]+$/, '');
  const name = command === undefined ? 'mmstorm' : `mmstorm ${command}`;
  return `${name}: ${text}; see ${name} --help`;
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}
