/** `mmstorm kernels`: the presets, and where each differs from the default. */
import { DEFAULT_KERNEL, KERNELS } from '../../rules/presets.ts';
import { kernelPreset, listRules, type RuleSetting } from '../../rules/resolve.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, outputOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';

interface Options {
  json?: true;
  output?: string;
  color: ColorMode;
}

interface KernelRow {
  name: string;
  what: string;
  isDefault: boolean;
  rules: Record<string, string>;
}

export const command: CliCommand = {
  build(command, bind) {
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function run({ json, output, color }: Options): ExitCode {
  const kernels = KERNELS.map(({ name, what, rules }) => ({
    name,
    what,
    isDefault: name === DEFAULT_KERNEL,
    rules: asRecord(listRules(rules)),
  }));
  const document = { schema: 'mmstorm/kernels/1', command: 'kernels', kernels };
  emit(json ? jsonText(document) : humanText(kernels, colorsFor(process.stdout, color)), output);
  return ExitCode.ok;
}

function humanText(kernels: readonly KernelRow[], colors: Colors): string {
  const standard = asRecord(listRules(kernelPreset(DEFAULT_KERNEL).rules));
  const paragraphs = kernels.map(({ name, what, isDefault, rules }) => {
    const different = Object.entries(rules).filter(([rule, value]) => standard[rule] !== value);
    const lines = different.map(([rule, value]) => `  ${rule}=${value}\n`);
    return `${colors.bold(name)}${isDefault ? ' (default)' : ''}: ${what}\n${lines.join('')}`;
  });
  return paragraphs.join('');
}

function asRecord(settings: readonly RuleSetting[]): Record<string, string> {
  return Object.fromEntries(settings.map(({ rule, value }) => [rule, value]));
}
