/** The report of a verification: the finding in full if there is one, what was covered, the verdict last. */

import { formatFinding, type ReportColors } from './findingText.ts';
import { missText } from './missText.ts';
import type { VerifyDocument, VerifyPhase } from './verifyDocument.ts';

/** The whole report. `told` are the lines of the finding's timeline. */
export function formatVerify(document: VerifyDocument, told: readonly string[], colors: ReportColors): string {
  const { scenario, bug, kernel, seed, finding, phases } = document;
  const rules = bug === null ? kernel : `${kernel} with ${bug}`;
  const lines = [colors.bold(`verify: ${scenario}, ${rules}, seed ${seed}`)];
  if (finding !== undefined)
    lines.push(formatFinding(finding, 'finding', colors), ...told, '', `  schedule:  ${document.schedule}`, '');
  lines.push(...phases.map(phaseText), verdictText(document, colors));
  return `${lines.join('\n')}\n`;
}

function phaseText(phase: VerifyPhase): string {
  const { what, strategy, executions, steps, elapsedMs, share, ended } = phase;
  const count = `${executions.toLocaleString('en')} executions, ${steps.toLocaleString('en')} steps`;
  const time = `${(elapsedMs / 1000).toFixed(1)} s`;
  const part = share === undefined ? '' : `, about ${(share * 100).toPrecision(2)} % of all`;
  const missed = phase.missProbability.length === 0 ? '' : `; chance of a miss ${missText(phase.missProbability)}`;
  return `  ${what} (${strategy}): ${count}, ${time}, ended: ${ended}${part}${missed}`;
}

function verdictText({ verdict, preemptions, blocked, phases }: VerifyDocument, colors: ReportColors): string {
  const bound = `${preemptions} ${preemptions === 1 ? 'preemption' : 'preemptions'}`;
  const executions = phases.reduce((sum, phase) => sum + phase.executions, 0).toLocaleString('en');
  switch (verdict) {
    case 'found':
      return colors.red('verdict: found');
    case 'proved':
      return colors.green(`verdict: proved within the bound: nothing in any schedule of at most ${bound}`);
    case 'sampled':
      return colors.green(`verdict: sampled: nothing in ${executions} executions; too many to run them all`);
    case 'cut':
      return `verdict: cut by a limit: nothing in ${executions} executions, which is not all that was asked for`;
    default:
      return `verdict: blocked: nothing was explored, for ${blocked}`;
  }
}
