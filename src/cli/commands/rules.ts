/** `mmstorm rules`: every switch of the simulated kernel, with its value under a preset and some settings. */
import { listRules } from '../../rules/resolve.ts';
import { RULE_DOCS, type RuleDoc } from '../../rules/rules.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, kernelOption, outputOption, setOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { resolveRules, type RuleOptions } from '../ruleOptions.ts';
import { renderTable } from '../../report/table.ts';

interface Options extends RuleOptions {
  json?: true;
  output?: string;
  color: ColorMode;
}

interface RuleRow extends RuleDoc {
  value: string;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[text...]', 'only rules whose name contains one of these');
    command.addOption(kernelOption()).addOption(setOption());
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function run(options: Options, words: readonly string[]): ExitCode {
  const { kernel, rules } = resolveRules(options);
  const values = new Map(listRules(rules).map(({ rule, value }) => [rule, value]));
  const matches = ({ rule }: RuleDoc): boolean =>
    words.length === 0 || words.some((word) => rule.toLowerCase().includes(word.toLowerCase()));
  const rows = RULE_DOCS.filter(matches).map((doc) => ({ ...doc, value: values.get(doc.rule)! }));
  const { json, output } = options;
  if (json) emit(jsonText({ schema: 'mmstorm/rules/1', command: 'rules', kernel, rules: rows }), output);
  else if (rows.length > 0) emit(humanText(rows, colorsFor(process.stdout, options.color)), output);
  else process.stderr.write('mmstorm rules: no rule matches\n');
  return rows.length > 0 ? ExitCode.ok : ExitCode.nothingMatched;
}

/** One paragraph per rule: with the reference, a row of a table would be too wide to read. */
function humanText(rows: readonly RuleRow[], colors: Colors): string {
  const settings = rows.map(({ rule, value, values }) => [rule, value, values.join(' | ')]);
  const table = renderTable(['rule', 'value', 'values'], settings, colors);
  const notes = rows.map(({ rule, what, reference }) => `${colors.bold(rule)}: ${what}\n  ${colors.dim(reference)}\n`);
  return `${table}\n${notes.join('')}`;
}
