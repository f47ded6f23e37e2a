/** `mmstorm scenarios`: what can be explored, as a table, or some of the scenarios in full. */
import { SCENARIOS, findScenario } from '../../../stress/scenarios/catalogue.ts';
import { OPERATION_ACTS } from '../../../stress/scenarios/operationActs.ts';
import { PAIRS } from '../../../stress/scenarios/pairs.ts';
import type { Scenario } from '../../../stress/scenarios/scenario.ts';
import { renderTable } from '../../report/table.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, outputOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';

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
  const scenarios = ids.length === 0 ? SCENARIOS : ids.map(findScenario);
  const colors = colorsFor(process.stdout, color);
  if (json) {
    const documents = scenarios.map(({ program: _, ...document }) => document);
    const pairs = ids.length === 0 ? { pairs: PAIRS } : {};
    emit(jsonText({ schema: 'mmstorm/scenarios/1', command: 'scenarios', scenarios: documents, ...pairs }), output);
  } else if (ids.length === 0) emit(overview(scenarios, colors), output);
  else emit(scenarios.map((scenario) => fullText(scenario, colors)).join('\n'), output);
  return ExitCode.ok;
}

function overview(scenarios: readonly Scenario[], colors: Colors): string {
  const rows = scenarios.map(({ id, threads, bug, expected, title }) => {
    return [id, String(threads.length), bug === null ? 'nothing' : expected.join(', '), title];
  });
  const table = renderTable(['scenario', 'threads', 'found as', 'what'], rows, colors, {
    columns: process.stdout.columns,
  });
  const hint =
    'mmstorm hunt <scenario> looks for what can be found, with the rules of its bug if it has one;\n' +
    'mmstorm verify <scenario> looks everywhere, with the rules of the chosen kernel.\n' +
    `Besides, every operation against every other: pair-A+B, for A and B of ${Object.keys(OPERATION_ACTS).join(', ')}.\n`;
  return `${table}\n${hint}`;
}

function fullText({ id, title, reference, bug, shows, expected, threads }: Scenario, colors: Colors): string {
  const fields = [
    ['  reference', reference],
    ['  shows', shows],
    [
      '  bug',
      bug === null ? 'none: under the right rules nothing is found' : `${bug}, found as ${expected.join(', ')}`,
    ],
    ...threads.map((thread, index) => [`  thread ${index + 1}`, thread]),
  ];
  return `${colors.bold(id)}: ${title}\n${renderTable([], fields, colors, { columns: process.stdout.columns })}`;
}
