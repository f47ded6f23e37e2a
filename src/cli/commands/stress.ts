/** `mmstorm stress`: real threads on a shared simulated machine, with every detector on. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { findBug } from '../../../stress/bugs/catalogue.ts';
import { defaultMix, formatMix, parseMix, type Mix } from '../../../stress/mix.ts';
import { makeInputProgram } from '../../../stress/input/inputProgram.ts';
import { readStrace } from '../../../stress/input/traceFile.ts';
import { runStress } from '../../../stress/run/runStress.ts';
import {
  DEFAULT_HUNG_MS,
  DEFAULT_PERTURB,
  DEFAULT_PROCESSES,
  MAX_STRESS_CPUS,
  type RecordedInput,
  type StressOptions,
} from '../../../stress/run/stressOptions.ts';
import { UsageError } from '../../base/usageError.ts';
import { findingDocument } from '../../../stress/hunt/findingDocument.ts';
import type { StressDocument, StressFinding } from '../../report/stressDocument.ts';
import { formatStress } from '../../report/stressText.ts';
import { workerUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { drawSeed } from '../drawSeed.ts';
import { ExitCode } from '../exitCode.ts';
import { readInputFile } from '../inputFile.ts';
import { interruptible } from '../interrupt.ts';
import {
  bugOption,
  colorOption,
  countOption,
  durationOption,
  jsonOption,
  kernelOption,
  outputOption,
  seedOption,
  setOption,
  type ColorMode,
} from '../options.ts';
import { colorsFor, emit, jsonText } from '../output.ts';
import { countBetween, parseDuration, parseRate } from '../parse.ts';
import { createProgressLine } from '../progressLine.ts';
import { writeFinding } from '../replayFiles.ts';
import { resolveRules, type RuleOptions } from '../ruleOptions.ts';

interface Options extends RuleOptions {
  bug?: string;
  seed?: number;
  workers: number;
  processes?: number;
  duration: number;
  ops?: number;
  mix?: Mix;
  input?: string;
  failAlloc: number;
  perturb: number;
  hungAfter: number;
  lockdep: boolean;
  check: boolean;
  quiet?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

const DEFAULT_DURATION_MS = 20_000;
const DEFAULT_WORKERS = 4;

export const command: CliCommand = {
  build(command, bind) {
    addRunOptions(command);
    command.addOption(kernelOption()).addOption(setOption()).addOption(bugOption()).addOption(seedOption());
    command.option('-q, --quiet', 'no progress on stderr');
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function addRunOptions(command: Command): void {
  command.addOption(durationOption().default(DEFAULT_DURATION_MS, '20s'));
  command.addOption(
    new Option('--workers <n>', 'simulated CPUs, a thread each')
      .argParser(countBetween(1, MAX_STRESS_CPUS))
      .default(DEFAULT_WORKERS),
  );
  command.addOption(
    new Option('--processes <n>', `processes that live at once (default: ${DEFAULT_PROCESSES})`).argParser(
      countBetween(1, 32),
    ),
  );
  command.addOption(countOption('--ops <n>', 'stop after so many operations'));
  command.addOption(
    new Option('--mix <op=weight,...>', 'change weights; "only,fork=1,write=3" runs nothing else').argParser(
      mixArgument,
    ),
  );
  command.addOption(
    new Option('--input <file>', 'run the program that `strace -f` recorded there, again and again').conflicts('mix'),
  );
  command.addOption(
    new Option('--fail-alloc <rate>', 'let this share of allocations fail').argParser(parseRate).default(0),
  );
  command.addOption(
    new Option('--perturb <rate>', 'delay behind this share of shared accesses; 0 for none')
      .argParser(parseRate)
      .default(DEFAULT_PERTURB),
  );
  command.addOption(
    new Option('--hung-after <time>', 'a CPU without progress for so long is hung')
      .argParser(parseDuration)
      .default(DEFAULT_HUNG_MS, '10s'),
  );
  command.option('--no-lockdep', 'without the lock validator').option('--no-check', 'without the invariant checkers');
}

function mixArgument(text: string): Mix {
  try {
    return parseMix(text);
  } catch (error) {
    if (error instanceof UsageError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

async function run(given: Options): Promise<ExitCode> {
  const options = resolveOptions(given);
  const stop = new AbortController();
  const progress = createProgressLine(process.stderr, given.quiet === true);
  progress.note(describeStart(options));
  const work = (): Promise<StressDocument> =>
    runStress(options, {
      worker: workerUrl('stressWorker', options.perturb > 0),
      signal: stop.signal,
      onProgress: ({ elapsedMs, totalOps, findings }) =>
        progress.update(
          `${(elapsedMs / 1000).toFixed(0)} s of ${(options.durationMs / 1000).toFixed(0)} s, ` +
            `${totalOps.toLocaleString('en')} operations, ${findings} finding${findings === 1 ? '' : 's'}`,
        ),
    });
  const { result, signalled } = await interruptible(() => stop.abort(), work);
  progress.end();
  const document = keepScenes(result);
  if (given.json) emit(jsonText(document), given.output);
  else emit(formatStress(document, colorsFor(process.stdout, given.color)), given.output);
  return signalled ?? exitCodeOf(document, options);
}

/** Writes each finding that has a scene to a file of its own, and says in it how to search for its schedule. */
function keepScenes(run: StressDocument): StressDocument {
  const findings = run.findings.map((finding): StressFinding => {
    if (finding.scene === undefined) return finding;
    try {
      return { ...finding, search: `mmstorm hunt --from ${writeFinding(findingDocument(run, finding))}` };
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      process.stderr.write(`mmstorm stress: ${error.message}\n`);
      return finding;
    }
  });
  return { ...run, findings };
}

function readInput(file: string, seed: number): RecordedInput {
  return { file, program: makeInputProgram(file, readStrace(file, readInputFile(file)), seed) };
}

function exitCodeOf({ findings }: StressDocument, { bug }: StressOptions): ExitCode {
  if (findings.length === 0) return ExitCode.ok;
  // A thread that died under the right rules is a bug of the tool, not of the kernel under study.
  if (bug === undefined && findings.every(({ kind }) => kind === 'crash')) return ExitCode.internal;
  return ExitCode.findings;
}

function resolveOptions(given: Options): StressOptions {
  const bug = given.bug === undefined ? undefined : findBug(given.bug);
  const { kernel, rules } = resolveRules(given, bug?.rules);
  const seed = given.seed ?? drawSeed();
  return {
    kernel,
    rules,
    bug,
    seed,
    workers: given.workers,
    processes: given.processes ?? bug?.processes ?? DEFAULT_PROCESSES,
    durationMs: given.duration,
    ops: given.ops ?? Infinity,
    input: given.input === undefined ? undefined : readInput(given.input, seed),
    mix: given.mix ?? (bug?.mix === undefined ? defaultMix() : parseMix(bug.mix)),
    lockdep: given.lockdep,
    checks: given.check,
    failAlloc: given.failAlloc,
    perturb: given.perturb,
    hungMs: given.hungAfter,
    reproduce: reproduceCommand(given, seed),
  };
}

/** The command line that repeats the run: what differs from the defaults, and the seed. */
function reproduceCommand(given: Options, seed: number): string {
  const parts = ['mmstorm stress', `--seed ${seed}`, `--workers ${given.workers}`, `--duration ${given.duration}ms`];
  if (given.bug !== undefined) parts.push(`--bug ${given.bug}`);
  parts.push(`--kernel ${given.kernel}`, ...(given.set ?? []).map(({ rule, value }) => `--set ${rule}=${value}`));
  if (given.processes !== undefined) parts.push(`--processes ${given.processes}`);
  if (given.mix !== undefined) parts.push(`--mix ${formatMix(given.mix)}`);
  if (given.input !== undefined) parts.push(`--input ${given.input}`);
  if (given.failAlloc > 0) parts.push(`--fail-alloc ${given.failAlloc}`);
  if (given.perturb !== DEFAULT_PERTURB) parts.push(`--perturb ${given.perturb}`);
  if (!given.lockdep) parts.push('--no-lockdep');
  if (!given.check) parts.push('--no-check');
  return parts.join(' ');
}

function describeStart({
  kernel,
  bug,
  seed,
  workers,
  processes,
  lockdep,
  checks,
  failAlloc,
  perturb,
  mix,
  input,
}: StressOptions): string {
  const parts = [
    `kernel ${kernel}`,
    ...(bug === undefined ? [] : [`bug ${bug.id}`]),
    `seed ${seed}`,
    `${workers} CPUs`,
    `${processes} processes`,
    `lockdep ${lockdep ? 'on' : 'off'}`,
    `checks ${checks ? 'on' : 'off'}`,
    ...(failAlloc > 0 ? [`fail-alloc ${failAlloc}`] : []),
    `perturb ${perturb}`,
    input === undefined ? `mix ${formatMix(mix)}` : `input ${input.file}`,
  ];
  return `mmstorm stress: ${parts.join(', ')}`;
}
