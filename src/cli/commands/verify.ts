/** `mmstorm verify`: every interleaving of a scenario within a bound, or a sample of them when there are too many. */
import { Option } from 'commander';
import { describeConditions } from '../../../stress/hunt/detectorChoice.ts';
import { ExplorerPool, type ExplorationControl, type ExplorationResult } from '../../../stress/hunt/exploration.ts';
import type { StrategyChoice } from '../../../stress/hunt/job.ts';
import { DEFAULT_STRATEGY } from '../../explore/strategyNamed.ts';
import {
  VERIFY_SCHEMA,
  type VerifyDocument,
  type VerifyPhase,
  type VerifyVerdict,
} from '../../report/verifyDocument.ts';
import { formatVerify } from '../../report/verifyText.ts';
import { exploredUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { drawSeed } from '../drawSeed.ts';
import { ExitCode } from '../exitCode.ts';
import { verifyTarget, type Target, type TargetOptions } from '../huntTargets.ts';
import { interruptible } from '../interrupt.ts';
import { keepFinding } from '../keepFinding.ts';
import {
  bugOption,
  colorOption,
  countOption,
  detectOption,
  durationOption,
  jsonOption,
  kernelOption,
  memoryOption,
  minimiseOption,
  outputOption,
  quietOption,
  seedOption,
  setOption,
  shardsOption,
  verboseOption,
} from '../options.ts';
import { colorsFor, emit, jsonText } from '../output.ts';
import { countBetween } from '../parse.ts';
import { findingOptions, type TellingOptions } from '../telling.ts';
import { createProgressLine } from '../progressLine.ts';

const ENUMERATION = 'dfs';
const DEFAULT_PREEMPTIONS = 2;
const DEFAULT_EXECUTIONS = 200_000;
const DEFAULT_DURATION_MS = 300_000;

interface Options extends TargetOptions, TellingOptions {
  preemptions: number;
  seed?: number;
  workers: number;
  executions: number;
  duration: number;
  quiet?: true;
  json?: true;
  output?: string;
}

/** A phase as it is reported, and what it came to. */
interface Phase {
  readonly strategy: StrategyChoice;
  readonly report: VerifyPhase;
  readonly explored: ExplorationResult;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('<scenario>', 'see mmstorm scenarios');
    command.addOption(
      new Option('--preemptions <n>', 'most preemptions of a schedule that is enumerated')
        .argParser(countBetween(0, 8))
        .default(DEFAULT_PREEMPTIONS),
    );
    command.addOption(
      countOption(
        '--executions <n>',
        'most executions of the enumeration, and of the sample that is drawn instead',
      ).default(DEFAULT_EXECUTIONS),
    );
    command.addOption(durationOption().default(DEFAULT_DURATION_MS, '5m'));
    command.addOption(shardsOption());
    command.addOption(kernelOption()).addOption(setOption()).addOption(bugOption()).addOption(seedOption());
    command.addOption(memoryOption()).addOption(detectOption('all'));
    command.addOption(quietOption()).addOption(verboseOption()).addOption(minimiseOption());
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

async function run(options: Options, [name]: readonly string[]): Promise<ExitCode> {
  const target = verifyTarget(name, options);
  const seed = options.seed ?? drawSeed();
  const progress = createProgressLine(process.stderr, options.quiet === true);
  progress.note(describeStart(options, target, seed));
  const stop = new AbortController();
  const control: ExplorationControl = {
    signal: stop.signal,
    onProgress: ({ elapsedMs, executions }) =>
      progress.update(`${executions.toLocaleString('en')} executions, ${(elapsedMs / 1000).toFixed(0)} s`),
  };
  const pool = new ExplorerPool(exploredUrl('exploreWorker'), options.workers);
  const work = (): Promise<Phase[]> => phasesOf(pool, target, seed, options, control);
  const { result: phases, signalled } = await interruptible(() => stop.abort(), work).finally(() => pool.close());
  progress.end();
  const last = phases[phases.length - 1];
  const { failure, blocked } = last.explored;
  const kept = failure === null ? null : keepFinding(target, { seed, strategy: last.strategy.name }, failure);
  const document: VerifyDocument = {
    schema: VERIFY_SCHEMA,
    command: 'verify',
    scenario: target.scenario.id,
    bug: target.bug?.id ?? null,
    kernel: target.kernel,
    seed,
    workers: options.workers,
    interrupted: signalled !== undefined,
    ...target.conditions,
    verdict: verdictOf(last),
    preemptions: options.preemptions,
    ...(blocked === null ? {} : { blocked }),
    phases: phases.map(({ report }) => report),
    ...(kept ?? {}),
  };
  print(document, failure?.recorded.told ?? [], options);
  return signalled ?? exitCodeOf(document.verdict);
}

/** The enumeration; the sample as well if the enumeration did not come to its end. */
async function phasesOf(
  pool: ExplorerPool,
  target: Target,
  seed: number,
  options: Options,
  control: ExplorationControl,
): Promise<Phase[]> {
  const explore = async (what: VerifyPhase['what'], strategy: StrategyChoice, shards: number): Promise<Phase> => {
    const { executions, duration: durationMs } = options;
    const { program, rules, conditions } = target;
    const limits = { executions, durationMs, shards };
    const request = { program, rules, conditions, strategy, seed, ...limits, ...findingOptions(options) };
    const explored = await pool.explore(request, control);
    return { strategy, explored, report: reportOf(what, strategy, explored) };
  };
  // One decision after the other is changed: there is nothing to share among workers.
  const enumeration = await explore('enumeration', { name: ENUMERATION, preemptions: options.preemptions }, 1);
  const { ended, coverage } = enumeration.explored;
  // The enumeration passes over schedules that are equal to others if stores are seen at once; else it proves nothing.
  const isSample = ended === 'exhausted' && coverage.verdict === 'sampled';
  if (ended !== 'executions' && !isSample) return [enumeration];
  return [enumeration, await explore('sample', { name: DEFAULT_STRATEGY }, options.workers)];
}

function reportOf(what: VerifyPhase['what'], strategy: StrategyChoice, explored: ExplorationResult): VerifyPhase {
  const { ended, executions, steps, elapsedMs, coverage } = explored;
  return {
    what,
    strategy: strategy.name,
    ended,
    executions,
    steps,
    elapsedMs: Math.round(elapsedMs),
    ...(coverage.share === undefined ? {} : { share: coverage.share }),
    missProbability: coverage.missProbability ?? [],
  };
}

function verdictOf({ report, explored }: Phase): VerifyVerdict {
  switch (explored.ended) {
    case 'found':
    case 'blocked':
      return explored.ended;
    case 'exhausted':
      return 'proved';
    case 'executions':
      return report.what === 'sample' ? 'sampled' : 'cut';
    default:
      return 'cut';
  }
}

function exitCodeOf(verdict: VerifyVerdict): ExitCode {
  if (verdict === 'found') return ExitCode.findings;
  return verdict === 'proved' || verdict === 'sampled' ? ExitCode.ok : ExitCode.inconclusive;
}

function print(document: VerifyDocument, told: readonly string[], { json, output, color }: Options): void {
  if (json) emit(jsonText(document), output);
  else emit(formatVerify(document, told, colorsFor(process.stdout, color)), output);
}

function describeStart({ preemptions, executions, workers }: Options, target: Target, seed: number): string {
  const { scenario, kernel, bug } = target;
  const parts = [
    scenario.id,
    bug === undefined ? `kernel ${kernel}` : `kernel ${kernel} with ${bug.id}`,
    `seed ${seed}`,
    describeConditions(target.conditions),
    `at most ${preemptions} preemptions or else ${executions.toLocaleString('en')} drawn executions`,
    workers === 1 ? 'one worker' : `${workers} workers`,
  ];
  return `mmstorm verify: ${parts.join(', ')}`;
}
