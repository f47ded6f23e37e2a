/** `mmstorm replay`: runs one recorded interleaving again, exactly. */
import { Option } from 'commander';
import { makeFinding, type Finding } from '../../base/finding.ts';
import type { exploreJob } from '../../../stress/hunt/exploreJob.ts';
import { compareReplay, type ReplayDivergence } from '../../../stress/hunt/compareReplay.ts';
import { describeConditions } from '../../../stress/hunt/detectorChoice.ts';
import type { ReplayResult } from '../../../stress/hunt/job.ts';
import { rulesOf, type ReplayDocument } from '../../../stress/hunt/replayDocument.ts';
import { scenarioOf } from '../../../stress/hunt/programs.ts';
import { formatFinding } from '../../report/findingText.ts';
import { exploredUrl } from '../artifacts.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import { colorOption, jsonOption, outputOption, quietOption, verboseOption, type ColorMode } from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { tellingOf } from '../telling.ts';
import { readReplay } from '../replayFiles.ts';

/** text and full are timelines, of what matters and of every access. */
const FORMATS = ['text', 'full', 'chrome-trace'] as const;
type Format = (typeof FORMATS)[number];

interface Options {
  quiet?: true;
  verbose?: true;
  format?: Format;
  json?: true;
  output?: string;
  color: ColorMode;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[file]', 'replay file; without one, that of the last finding');
    command.addOption(quietOption()).addOption(verboseOption());
    command.addOption(formatOption());
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function formatOption(): Option {
  return new Option(
    '--format <form>',
    'text, full (every access) or chrome-trace, which Perfetto opens (default: text)',
  )
    .choices(FORMATS)
    .conflicts(['json', 'verbose']);
}

async function run(options: Options, [named]: readonly string[]): Promise<ExitCode> {
  const { file, document } = readReplay(named);
  const { program, schedule } = document;
  if (!options.quiet) process.stderr.write(`mmstorm replay: ${file}, ${describe(document)}\n`);
  const result = await replayIn(document, options);
  const diverged = compareReplay(document, result);
  const findings = result.findings.map((found) =>
    makeFinding(found, { ...document.finding, ...found, reproduce: `mmstorm replay ${file}` }),
  );
  if (options.json) {
    const { config } = document;
    emit(
      jsonText({ schema: 'mmstorm/replay-result/1', command: 'replay', program, config, findings, diverged }),
      options.output,
    );
  } else if (result.chromeTrace !== null) {
    emit(`${JSON.stringify(result.chromeTrace)}\n`, options.output);
    if (diverged !== null) process.stderr.write(`mmstorm replay: ${divergenceText(diverged).join('\n')}\n`);
  } else {
    const colors = colorsFor(process.stdout, options.color);
    const told = [...result.told, '', `  schedule:  ${schedule}`];
    emit(humanText(findings, told, diverged, colors), options.output);
  }
  if (diverged !== null) return ExitCode.inconclusive;
  return findings.length > 0 ? ExitCode.findings : ExitCode.ok;
}

/** One execution needs no thread of its own: the explored build is loaded into this one. */
async function replayIn(document: ReplayDocument, options: Options): Promise<ReplayResult> {
  const explored = (await import(exploredUrl('exploreWorker').href)) as { default: typeof exploreJob };
  const { program, config, schedule } = document;
  const { memory, detect } = config;
  const job = { kind: 'replay', program, rules: rulesOf(document), conditions: { memory, detect }, schedule } as const;
  if (options.format === 'chrome-trace') return explored.default({ ...job, asChromeTrace: true });
  if (options.json) return explored.default(job);
  const { verbose, format, color } = options;
  const telling = tellingOf({ color, ...(verbose === true || format === 'full' ? { verbose: true } : {}) });
  return explored.default({ ...job, telling });
}

function divergenceText({ step, expected, actual }: ReplayDivergence): string[] {
  return [`diverged at step ${step}`, `    expected: ${expected}`, `    actual:   ${actual}`];
}

function describe({ program, config, schedule }: ReplayDocument): string {
  const bug = config.bug === undefined ? '' : ` with ${config.bug}`;
  const runs = schedule.split('.')[2].replaceAll(/\d/g, '').length;
  return `${scenarioOf(program).id} on ${config.kernel}${bug}, execution ${config.execution} of seed ${config.seed} (${config.strategy}), ${runs} runs, ${describeConditions(config)}`;
}

function humanText(
  findings: readonly Finding[],
  told: readonly string[],
  diverged: ReplayDivergence | null,
  colors: Colors,
): string {
  const lines = [...findings.map((finding) => formatFinding(finding, 'replay', colors)), ...told];
  if (diverged === null) lines.push(colors.red('seen again: the same accesses, the same finding'));
  else {
    const [first, ...rest] = divergenceText(diverged);
    lines.push(colors.red(first), ...rest);
  }
  return `${lines.join('\n')}\n`;
}
