/** `mmstorm conform`: recorded kernel traces against the simulated kernel. */
import { Option } from 'commander';
import { conform, type CaseObserver, type ConformResult } from '../../conform/conform.ts';
import { describeStep } from '../../conform/describe.ts';
import { divergenceText, stateText, type Divergence } from '../../conform/divergence.ts';
import { findTraceFiles } from '../../conform/inputFiles.ts';
import { createRunner, type CaseRunner } from '../../conform/runner.ts';
import type { Rules } from '../../rules/rules.ts';
import { exploredUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, kernelOption, outputOption, setOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { resolveRules, type RuleOptions } from '../ruleOptions.ts';
import { renderTable } from '../../report/table.ts';

/** The kernel the traces were recorded on. */
const RECORDED_KERNEL = 'linux-6.18';
/** Divergences told in full; all are counted, and `--json` lists all. */
const MAX_SHOWN = 10;

type Build = 'threads' | 'explored';

interface Options extends RuleOptions {
  build: Build;
  case?: string;
  trace?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('<file...>', 'trace files (conformance format 1), folders of them, or - for standard input');
    command.addOption(new Option('--case <id>', 'run only this case'));
    command.addOption(new Option('--trace', 'print every step with VMAs and pages').conflicts('json'));
    const builds = new Option('--build <build>', 'which build of the simulated kernel').choices([
      'threads',
      'explored',
    ]);
    command.addOption(builds.default('threads'));
    command.addOption(kernelOption().default(RECORDED_KERNEL)).addOption(setOption());
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

async function run(options: Options, operands: readonly string[]): Promise<ExitCode> {
  const { kernel, rules } = resolveRules(options);
  const files = findTraceFiles(operands);
  const trace: string[] = [];
  const result = await conform({
    files,
    runner: await loadRunner(options.build, rules),
    caseId: options.case ?? null,
    observer: options.trace ? traceWriter(trace) : null,
  });
  if (options.json) emit(jsonText(toJson(result, options.build, kernel)), options.output);
  if (result.totals.cases === 0) {
    const what = options.case === undefined ? 'no case to run' : `no case has the id '${options.case}'`;
    process.stderr.write(`mmstorm conform: ${what}\n`);
    return ExitCode.nothingMatched;
  }
  if (!options.json) emit(trace.join('') + humanText(result, options, kernel), options.output);
  return result.totals.failed > 0 ? ExitCode.findings : ExitCode.ok;
}

async function loadRunner(build: Build, rules: Rules): Promise<CaseRunner> {
  if (build === 'threads') return createRunner(rules);
  const explored = (await import(exploredUrl('conform').href)) as { createRunner: typeof createRunner };
  return explored.createRunner(rules);
}

function toJson(result: ConformResult, build: Build, kernel: string): object {
  const { files, totals, families, skipped, divergences, steps } = result;
  return {
    schema: 'mmstorm/conform/1',
    command: 'conform',
    kernel,
    build,
    files,
    cases: totals.cases,
    passed: totals.passed,
    failed: totals.failed,
    skipped,
    divergences: divergences.map(divergenceJson),
    families: Object.fromEntries(families),
    steps,
  };
}

function divergenceJson(divergence: Divergence): object {
  const { states: _, ...fields } = divergence;
  return fields;
}

function humanText(result: ConformResult, { build, color }: Options, kernel: string): string {
  const colors = colorsFor(process.stdout, color);
  const { totals, divergences, steps, runMs } = result;
  const shown = divergences.slice(0, MAX_SHOWN).map((divergence) => `${divergenceText(divergence)}\n`);
  const more = divergences.length - shown.length;
  if (more > 0) shown.push(`and ${more} more divergences: --json lists them all\n\n`);
  const rate = runMs > 0 ? `, ${Math.round((steps / runMs) * 1000)} steps/s` : '';
  const verdict = totals.failed > 0 ? colors.red(`${totals.failed} failed`) : '0 failed';
  return [
    ...shown,
    familyTable(result, colors),
    skipTable(result, colors),
    `${kernel}, ${build} build: ${result.files} files, ${totals.cases} cases: `,
    `${totals.passed} passed, ${verdict}, ${totals.skipped} skipped (${steps} steps${rate})\n`,
  ].join('');
}

function familyTable({ families }: ConformResult, colors: Colors): string {
  if (families.size === 0) return '';
  const rows = [...families].map(([family, { cases, passed, failed, skipped }]) => {
    return [family, cases, passed, failed, skipped].map(String);
  });
  return `${renderTable(['family', 'cases', 'passed', 'failed', 'skipped'], rows, colors)}\n`;
}

function skipTable({ skipped }: ConformResult, colors: Colors): string {
  if (skipped.length === 0) return '';
  const rows = skipped.map(({ op, reason, cases, families }) => {
    const inFamilies = Object.entries(families).map(([family, count]) => `${family} ${count}`);
    return [op, String(cases), reason, inFamilies.join(', ')];
  });
  return `${renderTable(['skipped for', 'cases', 'reason', 'families'], rows, colors, { columns: process.stdout.columns })}\n`;
}

/** Collects what `--trace` prints. */
function traceWriter(lines: string[]): CaseObserver {
  return {
    caseSkipped: ({ id }, { op, reason }) => lines.push(`${id} skipped for ${op}: ${reason}\n\n`),
    caseStarted: ({ id, memlock }) => {
      lines.push(`${id}${memlock === null ? '' : `, memlock ${memlock} pages`}\n`);
    },
    stepAgreed: (trace, { step, result, state }) => {
      lines.push(`${step}: ${describeStep(trace.steps[step].action, result)}\n`);
      lines.push(...stateText(state).map((line) => `    ${line}\n`));
    },
    caseEnded: ({ id }, divergence) => lines.push(divergence === null ? `${id} agrees\n\n` : '\n'),
  };
}
