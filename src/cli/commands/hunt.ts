/** `mmstorm hunt`: explores interleavings until a bug is found or the budget is spent. */
import { Option, type Command } from 'commander';
import { UsageError } from '../../base/usageError.ts';
import { describeConditions } from '../../../stress/hunt/detectorChoice.ts';
import { ExplorerPool, type ExplorationResult } from '../../../stress/hunt/exploration.ts';
import { DEFAULT_STRATEGY, STRATEGIES } from '../../explore/strategyNamed.ts';
import { HUNT_SCHEMA, type HuntDocument, type HuntResult } from '../../report/huntDocument.ts';
import { formatHunt } from '../../report/huntText.ts';
import { exploredUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { drawSeed } from '../drawSeed.ts';
import { ExitCode } from '../exitCode.ts';
import { allTargets, findingTargets, huntTargets, type Target, type TargetOptions } from '../huntTargets.ts';
import { keepFinding } from '../keepFinding.ts';
import { interruptible } from '../interrupt.ts';
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
import { readFinding } from '../replayFiles.ts';
import { findingOptions, type TellingOptions } from '../telling.ts';
import { createProgressLine, type ProgressLine } from '../progressLine.ts';

const DEFAULT_EXECUTIONS = 1_000_000;
const DEFAULT_DURATION_MS = 60_000;

interface Options extends TargetOptions, TellingOptions {
  all?: true;
  from?: string;
  strategy: string;
  depth?: number;
  seed?: number;
  workers: number;
  executions: number;
  duration: number;
  quiet?: true;
  json?: true;
  output?: string;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[bug or scenario...]', 'what to look for, see mmstorm bugs and mmstorm scenarios');
    command.option('--all', 'every bug of the catalogue');
    command.addOption(
      new Option('--from <file>', 'the scene of a finding of mmstorm stress; searches for its schedule'),
    );
    addBudgetOptions(command);
    command.addOption(kernelOption()).addOption(setOption()).addOption(bugOption()).addOption(seedOption());
    command.addOption(memoryOption()).addOption(detectOption('lifetimes if a bug is switched on, else all'));
    command.addOption(quietOption()).addOption(verboseOption()).addOption(minimiseOption());
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function addBudgetOptions(command: Command): void {
  command.addOption(
    new Option('--strategy <name>', 'how schedules are chosen')
      .choices(Object.keys(STRATEGIES))
      .default(DEFAULT_STRATEGY),
  );
  command.addOption(
    new Option('--depth <n>', 'ordering constraints that a bug needs, for strategies that ask').argParser(
      countBetween(1, 16),
    ),
  );
  command.addOption(countOption('--executions <n>', 'executions per target').default(DEFAULT_EXECUTIONS));
  command.addOption(durationOption().default(DEFAULT_DURATION_MS, '60s'));
  command.addOption(shardsOption());
}

async function run(options: Options, names: readonly string[]): Promise<ExitCode> {
  const targets = targetsOf(options, names);
  const seed = options.seed ?? drawSeed();
  const progress = createProgressLine(process.stderr, options.quiet === true);
  progress.note(describeStart(options, targets, seed));
  const stop = new AbortController();
  const told = new Map<string, readonly string[]>();
  const results: HuntResult[] = [];
  const pool = new ExplorerPool(exploredUrl('exploreWorker'), options.workers);
  const share = options.from === undefined ? options : shareOf(options, targets.length);
  const work = async (): Promise<void> => {
    for (const target of targets) {
      if (stop.signal.aborted) return;
      results.push(await hunt(pool, target, seed, share, stop.signal, progress, told));
      // The scenarios of a scene are guesses at one and the same thing.
      if (options.from !== undefined && results.some(({ found }) => found)) return;
    }
  };
  const { signalled } = await interruptible(() => stop.abort(), work).finally(() => pool.close());
  progress.end();
  const document: HuntDocument = {
    schema: HUNT_SCHEMA,
    command: 'hunt',
    seed,
    workers: options.workers,
    interrupted: signalled !== undefined,
    results,
  };
  if (options.json) emit(jsonText(document), options.output);
  else {
    const colors = colorsFor(process.stdout, options.color);
    emit(formatHunt(document, told, colors, process.stdout.columns), options.output);
  }
  return signalled ?? exitCodeOf(results);
}

function targetsOf(options: Options, names: readonly string[]): Target[] {
  const { all, from } = options;
  if (all && names.length > 0) throw new UsageError(`--all hunts everything: '${names[0]}' is one too many`);
  if (from !== undefined && (all || names.length > 0)) throw new UsageError('--from names all there is to hunt');
  if (from !== undefined) return findingTargets(readFinding(from), options);
  if (all) return allTargets(options);
  if (names.length === 0) throw new UsageError('nothing to hunt: name a bug or a scenario, or use --all or --from');
  return huntTargets(names, options);
}

/** The scenarios of a scene share one budget. */
function shareOf(options: Options, targets: number): Options {
  const { executions, duration } = options;
  return { ...options, executions: Math.ceil(executions / targets), duration: Math.ceil(duration / targets) };
}

/** Explores one target; writes a replay file if something is found. */
async function hunt(
  pool: ExplorerPool,
  target: Target,
  seed: number,
  options: Options,
  signal: AbortSignal,
  progress: ProgressLine,
  told: Map<string, readonly string[]>,
): Promise<HuntResult> {
  const { scenario, rules, conditions } = target;
  const explored = await pool.explore(
    {
      program: target.program,
      rules,
      conditions,
      strategy: { name: options.strategy, depth: options.depth },
      seed,
      shards: options.workers,
      executions: options.executions,
      durationMs: options.duration,
      ...findingOptions(options),
    },
    {
      signal,
      onProgress: ({ elapsedMs, executions }) =>
        progress.update(
          `${scenario.id}: ${executions.toLocaleString('en')} executions, ${(elapsedMs / 1000).toFixed(0)} s`,
        ),
    },
  );
  const result = resultOf(target, options, explored);
  if (explored.failure === null) return result;
  const kept = keepFinding(target, { seed, strategy: options.strategy }, explored.failure);
  told.set(scenario.id, explored.failure.recorded.told);
  return { ...result, ...kept };
}

function resultOf(
  { scenario, bug, kernel, expected, conditions }: Target,
  options: Options,
  explored: ExplorationResult,
): HuntResult {
  const { ended, blocked, executions, steps, elapsedMs, coverage, failure } = explored;
  const kinds = failure?.recorded.findings.map(({ kind }) => kind) ?? [];
  return {
    scenario: scenario.id,
    bug: bug?.id ?? null,
    kernel,
    found: expected.length === 0 ? kinds.length > 0 : kinds.some((kind) => expected.includes(kind)),
    ended,
    ...(blocked === null ? {} : { blocked }),
    executions,
    steps,
    elapsedMs: Math.round(elapsedMs),
    executionsPerSecond: elapsedMs === 0 ? 0 : Math.round((executions * 1000) / elapsedMs),
    strategy: options.strategy,
    depth: options.depth ?? null,
    ...conditions,
    missProbability: coverage.missProbability ?? [],
  };
}

/** Findings first; then whether everything that was asked for has an answer. */
function exitCodeOf(results: readonly HuntResult[]): ExitCode {
  if (results.some(({ finding }) => finding !== undefined)) return ExitCode.findings;
  // A search that has nothing left has not seen everything where stores are buffered.
  const isAnswer = ({ ended, bug, memory }: HuntResult): boolean =>
    (ended === 'exhausted' && memory === 'sc') || ((ended === 'exhausted' || ended === 'executions') && bug === null);
  return results.every(isAnswer) ? ExitCode.ok : ExitCode.inconclusive;
}

/** The same for all targets, or by the bugs: those that have one are watched by fewer. */
function describeDetection(targets: readonly Target[]): string {
  const all = targets.map(({ conditions }) => describeConditions(conditions));
  const distinct = [...new Set(all)];
  if (distinct.length === 1) return distinct[0];
  const scenariosOf = (text: string): string =>
    targets.flatMap(({ scenario }, index) => (all[index] === text ? [scenario.id] : [])).join(' ');
  return distinct.map((text) => `${text} for ${scenariosOf(text)}`).join('; ');
}

function describeStart({ workers, executions, duration, strategy }: Options, targets: Target[], seed: number): string {
  const parts = [
    targets.map(({ scenario }) => scenario.id).join(' '),
    `kernel ${targets[0].kernel}`,
    `seed ${seed}`,
    `strategy ${strategy}`,
    describeDetection(targets),
    `at most ${executions.toLocaleString('en')} executions and ${duration / 1000} s each`,
    workers === 1 ? 'one worker' : `${workers} workers`,
  ];
  return `mmstorm hunt: ${parts.join(', ')}`;
}
