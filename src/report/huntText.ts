/** The final report of a hunt: each finding in full, then one line per target. */

import { formatFinding, type ReportColors } from './findingText.ts';
import type { HuntDocument, HuntResult } from './huntDocument.ts';
import { missText } from './missText.ts';
import { renderTable } from './table.ts';

/** The whole report. `told` are the lines of each finding's timeline, by scenario. */
export function formatHunt(
  { seed, workers, interrupted, results }: HuntDocument,
  told: ReadonlyMap<string, readonly string[]>,
  colors: ReportColors,
  columns: number | undefined,
): string {
  const partial = interrupted ? ' (interrupted: partial results)' : '';
  const shards = workers === 1 ? 'one worker' : `${workers} workers`;
  const findings = results.flatMap((result) =>
    result.finding === undefined ? [] : [findingText(result, told, colors)],
  );
  return [
    ...findings.map((text) => `${text}\n`),
    colors.bold(`hunt: seed ${seed}, ${shards}${partial}`),
    resultTable(results, colors, columns),
  ].join('\n');
}

function findingText(result: HuntResult, told: ReadonlyMap<string, readonly string[]>, colors: ReportColors): string {
  const lines = [formatFinding(result.finding!, result.scenario, colors)];
  lines.push(...(told.get(result.scenario) ?? []), '', `  schedule:  ${result.schedule}`);
  if (result.minimised !== undefined) lines.push(`  minimised: ${minimisedText(result.minimised)}`);
  if (result.notDeterministic !== undefined)
    lines.push(colors.red(`  not deterministic: ${result.notDeterministic}; please report this`));
  return lines.join('\n');
}

/** `3 -> 2 threads, 9 -> 2 operations, 7 -> 1 preemptions, 112 -> 83 steps`. */
function minimisedText({ before, after }: NonNullable<HuntResult['minimised']>): string {
  const measures = ['threads', 'operations', 'preemptions', 'steps'] as const;
  return measures.map((measure) => `${before[measure]} -> ${after[measure]} ${measure}`).join(', ');
}

function resultTable(results: readonly HuntResult[], colors: ReportColors, columns: number | undefined): string {
  const rows = results.map((result) => [
    result.scenario,
    result.bug ?? `none, ${result.kernel}`,
    outcome(result, colors),
    result.executions.toLocaleString('en'),
    (result.elapsedMs / 1000).toFixed(1),
    Math.round(result.executionsPerSecond).toLocaleString('en'),
    result.depth === null ? result.strategy : `${result.strategy}, depth ${result.depth}`,
    missColumn(result),
  ]);
  const head = ['scenario', 'bug', 'outcome', 'executions', 'seconds', 'per second', 'strategy', 'chance of a miss'];
  return renderTable(head, rows, colors, { columns, right: [3, 4, 5] });
}

function outcome({ finding, ended, blocked, memory }: HuntResult, colors: ReportColors): string {
  if (finding !== undefined) return colors.red(finding.kind);
  switch (ended) {
    case 'exhausted':
      return memory === 'sc' ? colors.green('nothing found, all explored') : 'nothing found, strategy at its end';
    case 'blocked':
      return `not explored: ${blocked}`;
    case 'executions':
      return 'nothing found';
    default:
      return `nothing found before the end (${ended})`;
  }
}

function missColumn({ missProbability, finding }: HuntResult): string {
  if (finding !== undefined) return '';
  return missProbability.length === 0 ? 'not known' : missText(missProbability);
}
