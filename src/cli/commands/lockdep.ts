/** `mmstorm lockdep run`: lock-sequence cases, such as the kernel's lock self-tests, through the validator. */
import { UsageError } from '../../base/usageError.ts';
import { readCaseFile, type LockCase } from '../../lockdep/caseFile.ts';
import { CaseRunner, type CaseResult } from '../../lockdep/caseRunner.ts';
import { lockdepText } from '../../report/lockdepText.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, outputOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { renderTable } from '../../report/table.ts';

interface Options {
  case?: string;
  reports?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

/** A case that was run. */
interface Judged extends CaseResult {
  readonly lockCase: LockCase;
  readonly actual: 'violation' | 'ok';
}

export const command: CliCommand = {
  build(command, bind) {
    const run = command.command('run').summary('run the cases of a file').description('Run the cases of a file.');
    run.argument('<file>', 'lock sequences, one JSON object per line').allowExcessArguments(false);
    run.option('--case <id>', 'run only this case');
    run.option('--reports', 'print the report of each violation, in the layout of the kernel');
    run.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(run, runCases);
    bind(command.allowExcessArguments(true), (_options, [word]) => {
      throw new UsageError(word === undefined ? 'no subcommand given' : `unknown subcommand '${word}'`);
    });
  },
};

function runCases(options: Options, [file]: readonly string[]): ExitCode {
  const cases = readCaseFile(file).filter(({ id }) => options.case === undefined || id === options.case);
  const runner = new CaseRunner();
  const judged = cases.filter(({ unsupported }) => unsupported === null).map((lockCase) => judge(runner, lockCase));
  if (cases.length === 0) {
    const what = options.case === undefined ? 'no case to run' : `no case has the id '${options.case}'`;
    process.stderr.write(`mmstorm lockdep: ${what}\n`);
  }
  if (options.json) emit(jsonText(toJson(cases, judged)), options.output);
  else emit(humanText(cases, judged, options), options.output);
  if (cases.length === 0) return ExitCode.nothingMatched;
  return judged.every(agrees) ? ExitCode.ok : ExitCode.findings;
}

function judge(runner: CaseRunner, lockCase: LockCase): Judged {
  const result = runner.run(lockCase);
  return { ...result, lockCase, actual: result.report === null ? 'ok' : 'violation' };
}

function agrees({ lockCase, actual }: Judged): boolean {
  return lockCase.expected === actual;
}

function toJson(cases: readonly LockCase[], judged: readonly Judged[]): object {
  const disagreed = judged.filter((result) => !agrees(result));
  return {
    schema: 'mmstorm/lockdep/1',
    command: 'lockdep run',
    cases: cases.length,
    agreed: judged.length - disagreed.length,
    disagreed: disagreed.map((result) => ({
      id: result.lockCase.id,
      expected: result.lockCase.expected,
      actual: result.actual,
      report: reportText(result),
    })),
    unsupported: cases.flatMap(({ id, unsupported }) => (unsupported === null ? [] : [{ id, reason: unsupported }])),
  };
}

/** The report as text, null when there was none. */
function reportText({ report, at, lockCase }: Judged): string | null {
  if (report === null) return null;
  const banner = `case ${lockCase.id}, segment ${at![0]}, operation ${at![1]}`;
  return lockdepText(report, { banner }).join('\n').trimStart();
}

function humanText(cases: readonly LockCase[], judged: readonly Judged[], { reports, color }: Options): string {
  const colors = colorsFor(process.stdout, color);
  const disagreed = judged.filter((result) => !agrees(result));
  const shown = (reports ? judged : disagreed).filter(({ report }) => report !== null);
  const agreed = judged.length - disagreed.length;
  const unsupported = cases.length - judged.length;
  const verdict = disagreed.length > 0 ? colors.red(`${disagreed.length} disagreed`) : '0 disagreed';
  return [
    ...shown.map((result) => `${reportText(result)!}\n\n`),
    disagreedTable(disagreed, colors),
    unsupportedTable(cases, colors),
    `${cases.length} cases: ${agreed} agreed, ${verdict}, ${unsupported} unsupported\n`,
  ].join('');
}

function disagreedTable(disagreed: readonly Judged[], colors: Colors): string {
  if (disagreed.length === 0) return '';
  const rows = disagreed.map(({ lockCase, actual, report }) => [
    lockCase.id,
    lockCase.expected,
    report === null ? actual : `${actual} (${report.kind})`,
  ]);
  return `${renderTable(['disagreed', 'expected', 'actual'], rows, colors)}\n`;
}

function unsupportedTable(cases: readonly LockCase[], colors: Colors): string {
  const counts = new Map<string, number>();
  for (const { unsupported } of cases)
    if (unsupported !== null) counts.set(unsupported, (counts.get(unsupported) ?? 0) + 1);
  if (counts.size === 0) return '';
  const rows = [...counts].map(([reason, count]) => [String(count), reason]);
  return `${renderTable(['unsupported', 'reason'], rows, colors, { columns: process.stdout.columns })}\n`;
}
