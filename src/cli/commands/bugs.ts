/** `mmstorm bugs`: the catalogue as a table, or some of its entries in full. */
import type { Bug } from '../../../stress/bugs/bug.ts';
import { BUGS, findBug } from '../../../stress/bugs/catalogue.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, outputOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { renderTable } from '../../report/table.ts';

interface Options {
  json?: true;
  output?: string;
  color: ColorMode;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[id...]', 'tell these in full');
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function run({ json, output, color }: Options, ids: readonly string[]): ExitCode {
  const bugs = ids.length === 0 ? BUGS : ids.map(findBug);
  const colors = colorsFor(process.stdout, color);
  if (json) emit(jsonText({ schema: 'mmstorm/bugs/1', command: 'bugs', bugs }), output);
  else if (ids.length === 0) emit(overview(bugs, colors), output);
  else emit(bugs.map((bug) => fullText(bug, colors)).join('\n'), output);
  return ExitCode.ok;
}

function overview(bugs: readonly Bug[], colors: Colors): string {
  const rows = bugs.map(({ id, expected, title }) => [id, expected.join(', '), title]);
  const hint = 'mmstorm bugs <id> tells one in full; mmstorm stress --bug <id> looks for it.\n';
  return `${renderTable(['bug', 'found as', 'what'], rows, colors, { columns: process.stdout.columns })}\n${hint}`;
}

function fullText({ id, title, reference, certainty, rules, expected, why, badRun }: Bug, colors: Colors): string {
  const fields = [
    ['  reference', `${reference} (${certainty})`],
    ['  rules', rules.map(({ rule, value }) => `--set ${rule}=${value}`).join(' ')],
    ['  found as', expected.join(', ')],
    ['  why', why],
    ['  bad run', badRun],
  ];
  return `${colors.bold(id)}: ${title}\n${renderTable([], fields, colors, { columns: process.stdout.columns })}`;
}
