/** `mmstorm conform`: recorded kernel traces against the simulated kernel, from files or from the running kernel. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { findBug } from '../../../stress/bugs/catalogue.ts';
import { UsageError } from '../../base/usageError.ts';
import { conform, type CaseObserver, type ConformResult } from '../../conform/conform.ts';
import { findTraceFiles } from '../../conform/inputFiles.ts';
import { FAMILIES } from '../../conform/random/families.ts';
import { recordedKernel } from '../../conform/recordedKernel.ts';
import { createRunner, type CaseRunner } from '../../conform/runner.ts';
import type { TraceCase } from '../../conform/traceFormat.ts';
import { DEFAULT_KERNEL } from '../../rules/presets.ts';
import type { RuleSetting } from '../../rules/resolve.ts';
import { exploredUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { drawSeed } from '../drawSeed.ts';
import { ExitCode } from '../exitCode.ts';
import {
  bugOption,
  colorOption,
  countOption,
  jsonOption,
  kernelOption,
  outputOption,
  seedOption,
  setOption,
  type ColorMode,
} from '../options.ts';
import { checkOutputFile } from '../outputFile.ts';
import { colorsFor, emit, jsonText } from '../output.ts';
import { createProgressLine, type ProgressLine } from '../progressLine.ts';
import { resolveRules, type RuleOptions } from '../ruleOptions.ts';
import { conformLive, type LiveReport } from './conformLive.ts';
import { conformRandom, randomText } from './conformRandom.ts';
import { caseWriter, conformJson, conformText, liveJson, liveText, traceWriter } from './conformText.ts';

type Build = 'threads' | 'explored';

interface Options extends Omit<RuleOptions, 'kernel'> {
  build: Build;
  /** Absent: the kernel that the header of each file names. */
  kernel?: string;
  bug?: string;
  case?: string;
  trace?: true;
  live?: true;
  random?: number;
  cases: number;
  family?: string[];
  seed?: number;
  record?: string;
  quiet?: true;
  verbose?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

const DEFAULT_CASES = 160;

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[file...]', 'trace files (conformance format 1), folders of them, or - for standard input');
    command.addOption(new Option('--case <id>', 'run only this case'));
    command.addOption(new Option('--trace', 'print every step with VMAs and pages').conflicts('json'));
    const builds = new Option('--build <build>', 'which build of the simulated kernel');
    command.addOption(builds.choices(['threads', 'explored']).default('threads'));
    const kernel = kernelOption().default(undefined, 'the one that the recording names');
    command.addOption(kernel).addOption(setOption()).addOption(bugOption());
    addLiveOptions(command);
    command.addOption(new Option('-q, --quiet', 'only divergences and totals, no progress').conflicts('verbose'));
    command.option('-v, --verbose', 'a line for each case');
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function addLiveOptions(command: Command): void {
  command.option('--live', 'record random cases, or those of the files again, on the running kernel (Linux, as root)');
  command.addOption(countOption('--cases <n>', 'how many random cases').default(DEFAULT_CASES));
  command.addOption(
    new Option('--family <name>', 'only random cases of this family (repeatable)').argParser(addFamily),
  );
  const random = countOption('--random <n>', 'so many random sequences against a plain model of address spaces');
  command.addOption(random.conflicts(['live', 'record'])).addOption(seedOption());
  command.addOption(
    new Option('--record <file>', 'write all recordings to this trace file; with --live, -o writes the divergences')
      .argParser(checkOutputFile)
      .implies({ live: true }),
  );
}

function addFamily(name: string, previous: readonly string[] = []): string[] {
  const names = FAMILIES.map((family) => family.name);
  if (!names.includes(name)) throw new InvalidArgumentError(`The families are ${names.join(', ')}.`);
  return [...previous, name];
}

async function run(options: Options, operands: readonly string[]): Promise<ExitCode> {
  const progress = createProgressLine(process.stderr, options.quiet === true);
  if (options.random !== undefined)
    return await runSequences({ ...options, random: options.random }, operands, progress);
  const lines: string[] = [];
  const runners = await runnerTable(options);
  const writer = writerFor(options, lines);
  try {
    if (options.live) return await runLiveCases(options, operands, { lines, runners, progress, writer });
    return await runFiles(options, operands, { lines, runners, progress, writer });
  } finally {
    progress.end();
  }
}

/** What both ways to run have in common. */
interface Setting {
  /** What `--trace` and `-v` print before the rest. */
  readonly lines: string[];
  readonly runners: RunnerTable;
  readonly progress: ProgressLine;
  readonly writer: CaseObserver;
}

async function runFiles(options: Options, operands: readonly string[], setting: Setting): Promise<ExitCode> {
  if (operands.length === 0)
    throw new UsageError('trace files are missing: name a file, a folder or - (or use --live)');
  const { lines, runners, progress, writer } = setting;
  const files = findTraceFiles(operands);
  let cases = 0;
  const observer: CaseObserver = {
    ...writer,
    caseStarted(trace) {
      progress.update(`${++cases} cases, now ${trace.id}`);
      writer.caseStarted?.(trace);
    },
  };
  const caseId = options.case ?? null;
  const result = await conform({ files, runnerFor: runners.runnerFor, caseId, observer });
  const source = `${files.length} ${files.length === 1 ? 'file' : 'files'}`;
  const label = { kernel: runners.kernels(), build: options.build, source };
  progress.end();
  if (options.json) emit(jsonText(conformJson(result, label)), options.output);
  else if (result.totals.cases > 0) {
    const colors = colorsFor(process.stdout, options.color);
    emit(lines.join('') + conformText(result, label, colors, options.quiet === true), options.output);
  }
  return exitCode(result, options.case);
}

async function runLiveCases(options: Options, operands: readonly string[], setting: Setting): Promise<ExitCode> {
  const { lines, runners, progress, writer } = setting;
  const seed = options.seed ?? drawSeed();
  const report: LiveReport = await conformLive(
    {
      families: FAMILIES.filter(({ name }) => options.family?.includes(name) ?? true),
      cases: options.cases,
      seed,
      files: operands,
      caseId: options.case ?? null,
      output: options.output,
      record: options.record,
    },
    runners.runnerFor,
    writer,
    progress,
  );
  progress.end();
  const label = {
    kernel: runners.kernels(),
    build: options.build,
    source: `recorded on ${report.kernel}, seed ${seed}`,
  };
  if (options.json) emit(jsonText({ ...conformJson(report.result, label), ...liveJson(report, seed) }));
  else {
    const text = conformText(report.result, label, colorsFor(process.stdout, options.color), options.quiet === true);
    emit(lines.join('') + liveText(report) + text);
  }
  return report.signalled ?? exitCode(report.result, options.case);
}

async function runSequences(
  options: Options & { readonly random: number },
  operands: readonly string[],
  progress: ProgressLine,
): Promise<ExitCode> {
  if (operands.length > 0) throw new UsageError(`--random takes no trace files, but '${operands[0]}' is given`);
  const seed = options.seed ?? drawSeed();
  const { kernel = DEFAULT_KERNEL, build, random: sequences } = options;
  const { rules } = resolveRules({ ...options, kernel }, bugRules(options));
  if (options.quiet !== true) progress.note(`random sequences on ${kernel}, seed ${seed}`);
  const report = await conformRandom({ sequences, seed, rules, build }, progress);
  progress.end();
  const document = { schema: 'mmstorm/conform-random/1', command: 'conform', kernel, build, ...report };
  emit(options.json ? jsonText(document) : randomText(report), options.output);
  return report.signalled ?? (report.difference === null ? ExitCode.ok : ExitCode.findings);
}

/** Nothing that was left out may look like success. */
function exitCode({ totals, skipped }: ConformResult, caseId: string | undefined): ExitCode {
  if (totals.failed > 0) return ExitCode.findings;
  if (totals.passed > 0) return ExitCode.ok;
  const reasons = [...new Set([...skipped.values()].map(({ reason }) => reason))].join(', ');
  const none = caseId === undefined ? 'no case to run' : `no case has the id '${caseId}'`;
  const subject = caseId === undefined ? 'every case' : `case '${caseId}'`;
  process.stderr.write(`mmstorm conform: ${totals.skipped === 0 ? none : `${subject} was skipped: ${reasons}`}\n`);
  return ExitCode.nothingMatched;
}

interface RunnerTable {
  readonly runnerFor: (trace: TraceCase) => CaseRunner;
  /** Names of the presets in use. */
  readonly kernels: () => string;
}

/** A runner for each preset that the recordings ask for, or the one of `--kernel` for all. */
async function runnerTable(options: Options): Promise<RunnerTable> {
  const make = options.build === 'threads' ? createRunner : await loadExplored();
  const settings = bugRules(options);
  const runners = new Map<string, CaseRunner>();
  return {
    runnerFor(trace) {
      const kernel = options.kernel ?? recordedKernel(trace);
      const runner = runners.get(kernel) ?? make(resolveRules({ ...options, kernel }, settings).rules);
      runners.set(kernel, runner);
      return runner;
    },
    kernels: () => [...runners.keys()].join(', '),
  };
}

function bugRules({ bug }: Options): readonly RuleSetting[] {
  return bug === undefined ? [] : findBug(bug).rules;
}

async function loadExplored(): Promise<typeof createRunner> {
  const explored = (await import(exploredUrl('conform').href)) as { createRunner: typeof createRunner };
  return explored.createRunner;
}

function writerFor({ trace, verbose, json }: Options, lines: string[]): CaseObserver {
  if (json) return {};
  if (trace) return traceWriter(lines);
  return verbose ? caseWriter(lines) : {};
}
