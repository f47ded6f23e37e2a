/** `mmstorm replay`: runs one recorded interleaving again, exactly. */
import { makeFinding, type Finding } from '../../base/finding.ts';
import type { exploreJob } from '../../../stress/hunt/exploreJob.ts';
import { compareReplay, type ReplayDivergence } from '../../../stress/hunt/compareReplay.ts';
import type { ReplayResult } from '../../../stress/hunt/job.ts';
import type { Telling } from '../../../stress/hunt/tellRun.ts';
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

interface Options {
  quiet?: true;
  verbose?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

export const command: CliCommand = {
  build(command, bind) {
    command.argument('[file]', 'replay file; without one, that of the last finding');
    command.addOption(quietOption()).addOption(verboseOption());
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

async function run(options: Options, [named]: readonly string[]): Promise<ExitCode> {
  const { file, document } = readReplay(named);
  const { program, schedule } = document;
  if (!options.quiet) process.stderr.write(`mmstorm replay: ${file}, ${describe(document)}\n`);
  const result = await replayIn(document, tellingOf(options));
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
  } else {
    const colors = colorsFor(process.stdout, options.color);
    const told = [...result.told, '', `  schedule:  ${schedule}`];
    emit(humanText(findings, told, diverged, colors), options.output);
  }
  if (diverged !== null) return ExitCode.inconclusive;
  return findings.length > 0 ? ExitCode.findings : ExitCode.ok;
}

/** One execution needs no thread of its own: the explored build is loaded into this one. */
async function replayIn(document: ReplayDocument, telling: Telling): Promise<ReplayResult> {
  const explored = (await import(exploredUrl('exploreWorker').href)) as { default: typeof exploreJob };
  const { program, schedule } = document;
  return explored.default({ kind: 'replay', program, rules: rulesOf(document), schedule, telling });
}

function describe({ program, config, schedule }: ReplayDocument): string {
  const bug = config.bug === undefined ? '' : ` with ${config.bug}`;
  const runs = schedule.split('.')[2].replaceAll(/\d/g, '').length;
  return `${scenarioOf(program).id} on ${config.kernel}${bug}, execution ${config.execution} of seed ${config.seed} (${config.strategy}), ${runs} runs`;
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
    const { step, expected, actual } = diverged;
    lines.push(colors.red(`diverged at step ${step}`), `    expected: ${expected}`, `    actual:   ${actual}`);
  }
  return `${lines.join('\n')}\n`;
}
