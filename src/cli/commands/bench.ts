/** `mmstorm bench`: what locks and operations cost, as ratios in one run. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Option } from 'commander';
import { CASES } from '../../../bench/allCases.ts';
import { EXPLORE_ROWS } from '../../../bench/cases/explore.ts';
import { ASYNC_MUTEX_CASE } from '../../../bench/cases/asyncMutex.ts';
import type { BenchCase, CaseFigure } from '../../../bench/case.ts';
import { PAGES_PER_ROUND, measureScaling, type ScalingFigure } from '../../../bench/scaling.ts';
import { benchUrl, workerUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, outputOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { countBetween } from '../parse.ts';
import { createProgressLine } from '../progressLine.ts';
import { renderTable } from '../../report/table.ts';

interface Options {
  time: number;
  scaling: boolean;
  quiet?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

type Row = Omit<BenchCase, 'setup'>;

interface BenchDocument {
  readonly schema: 'mmstorm/bench/1';
  readonly command: 'bench';
  readonly node: string;
  readonly cases: readonly (CaseFigure & { group: string; unit: string; ratio: number; against: string })[];
  readonly scaling: readonly ScalingFigure[];
}

const CASE_TIMEOUT_MS = 120_000;
const DEFAULT_TIME_MS = 400;

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[text...]', 'only cases whose name contains one of these');
    command.addOption(
      new Option('--time <ms>', 'milliseconds per case').argParser(countBetween(10, 60_000)).default(DEFAULT_TIME_MS),
    );
    command
      .option('--no-scaling', 'without the benchmark of two threads')
      .option('-q, --quiet', 'no progress on stderr');
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

async function run(options: Options, words: readonly string[]): Promise<ExitCode> {
  const matches = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
  const rows = [...CASES, ...EXPLORE_ROWS, ASYNC_MUTEX_CASE].filter(({ name }) => matches(name));
  const scaling = options.scaling && words.length === 0;
  if (rows.length === 0) {
    process.stderr.write('mmstorm bench: no case matches\n');
    return ExitCode.nothingMatched;
  }
  const progress = createProgressLine(process.stderr, options.quiet === true);
  const figures = new Map<string, CaseFigure>();
  for (const { name } of rows) {
    progress.update(`measuring ${name}`);
    figures.set(name, await measureInOwnProcess(name, options.time));
  }
  progress.update('measuring two threads');
  const document = makeDocument(rows, figures, scaling ? await measureScaling(workerUrl('benchWorker', false)) : []);
  progress.end();
  if (options.json) emit(jsonText(document), options.output);
  else emit(humanText(document, colorsFor(process.stdout, options.color)), options.output);
  return ExitCode.ok;
}

/** A process of its own: what one case taught the compiler must not slow down the next. */
async function measureInOwnProcess(name: string, timeMs: number): Promise<CaseFigure> {
  const script = fileURLToPath(benchUrl('caseMain'));
  const { stdout } = await promisify(execFile)(process.execPath, [script, name, String(timeMs)], {
    timeout: CASE_TIMEOUT_MS,
  });
  return JSON.parse(stdout) as CaseFigure;
}

function makeDocument(
  rows: readonly Row[],
  figures: ReadonlyMap<string, CaseFigure>,
  scaling: readonly ScalingFigure[],
): BenchDocument {
  const cases = rows.map(({ name, group, unit, against }) => {
    const figure = figures.get(name)!;
    const base = against === undefined ? undefined : figures.get(against);
    const ratio = figure.minNs / (base?.minNs ?? figure.floorNs);
    return { ...figure, group, unit, ratio, against: base?.name ?? 'raw pair' };
  });
  return { schema: 'mmstorm/bench/1', command: 'bench', node: process.version, cases, scaling };
}

function humanText({ cases, scaling, node }: BenchDocument, colors: Colors): string {
  const rows = cases.map(({ name, unit, minNs, medianNs, ratio, against, samples }) => [
    name,
    unit,
    minNs.toFixed(1),
    medianNs.toFixed(1),
    `${ratio.toFixed(2)} x ${against}`,
    String(samples),
  ]);
  const floors = cases.map(({ floorNs }) => floorNs);
  const floor = `raw pair (compareExchange + store): ${Math.min(...floors).toFixed(1)} ns, node ${node}\n`;
  const table = renderTable(['case', 'unit', 'min ns', 'median ns', 'ratio of minima', 'samples'], rows, colors, {
    right: [2, 3, 5],
  });
  return `${table}\n${floor}${scaling.length === 0 ? '' : `\n${scalingText(scaling, colors)}`}`;
}

function scalingText(scaling: readonly ScalingFigure[], colors: Colors): string {
  const names = { raw: 'raw loops', separate: 'two mms', shared: 'one shared mm' } as const;
  const rows = scaling.map(({ kind, one, two, factor, againstRaw }) => [
    names[kind],
    Math.round(one).toLocaleString('en'),
    Math.round(two).toLocaleString('en'),
    factor.toFixed(2),
    againstRaw.toFixed(2),
  ]);
  const head = [`rounds of ${PAGES_PER_ROUND} pages`, '1 thread/s', '2 threads/s', 'factor', 'against raw'];
  return renderTable(head, rows, colors, { right: [1, 2, 3, 4] });
}
