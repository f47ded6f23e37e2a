/** What `mmstorm conform` prints: for people, and as JSON. */
import type { CaseObserver, ConformResult } from '../../conform/conform.ts';
import { describeStep } from '../../conform/describe.ts';
import { divergenceText, stateText, type Divergence } from '../../conform/divergence.ts';
import { renderTable } from '../../report/table.ts';
import type { Colors } from '../output.ts';
import type { LiveReport } from './conformLive.ts';

/** Divergences told in full; all are counted, and `--json` lists all. */
const MAX_SHOWN = 10;

/** What ran, in words: presets, build, where the cases came from. */
export interface RunLabel {
  readonly kernel: string;
  readonly build: string;
  readonly source: string;
}

/** The fields that every conformance document has. */
export function conformJson(result: ConformResult, { kernel, build }: RunLabel): object {
  const { files, totals, families, skipped, divergences, steps } = result;
  return {
    schema: 'mmstorm/conform/1',
    command: 'conform',
    kernel,
    build,
    files,
    cases: totals.cases,
    passed: totals.passed,
    failed: totals.failed,
    skipped: [...skipped.values()],
    divergences: divergences.map(divergenceJson),
    families: Object.fromEntries(families),
    steps,
  };
}

function divergenceJson(divergence: Divergence): object {
  const { states: _, ...fields } = divergence;
  return fields;
}

/** Divergences, tables and the line of totals; quiet: without the tables. */
export function conformText(result: ConformResult, label: RunLabel, colors: Colors, quiet: boolean): string {
  const tables = quiet ? [] : [familyTable(result, colors), skipTable(result, colors)];
  return [divergencesText(result.divergences), ...tables, totalsLine(result, label, colors)].join('');
}

function divergencesText(divergences: readonly Divergence[]): string {
  const shown = divergences.slice(0, MAX_SHOWN).map((divergence) => `${divergenceText(divergence)}\n`);
  const more = divergences.length - shown.length;
  if (more > 0) shown.push(`and ${more} more divergences: --json lists them all\n\n`);
  return shown.join('');
}

function totalsLine(result: ConformResult, { kernel, build, source }: RunLabel, colors: Colors): string {
  const { totals, steps, runMs } = result;
  const rate = runMs > 0 ? `, ${Math.round((steps / runMs) * 1000)} steps/s` : '';
  const verdict = totals.failed > 0 ? colors.red(`${totals.failed} failed`) : '0 failed';
  const input = `${kernel}, ${build} build: ${source}, ${totals.cases} cases`;
  return `${input}: ${totals.passed} passed, ${verdict}, ${totals.skipped} skipped (${steps} steps${rate})\n`;
}

function familyTable({ families }: ConformResult, colors: Colors): string {
  if (families.size === 0) return '';
  const rows = [...families].map(([family, { cases, passed, failed, skipped }]) => {
    return [family, cases, passed, failed, skipped].map(String);
  });
  return `${renderTable(['family', 'cases', 'passed', 'failed', 'skipped'], rows, colors, { right: [1, 2, 3, 4] })}\n`;
}

function skipTable({ skipped }: ConformResult, colors: Colors): string {
  if (skipped.size === 0) return '';
  const rows = [...skipped.values()].map(({ op, reason, cases, families }) => {
    const inFamilies = Object.entries(families).map(([family, count]) => `${family} ${count}`);
    return [op, String(cases), reason, inFamilies.join(', ')];
  });
  const head = ['skipped for', 'cases', 'reason', 'families'];
  return `${renderTable(head, rows, colors, { right: [1], columns: process.stdout.columns })}\n`;
}

/** Collects what `--trace` prints: every step with VMAs and pages. */
export function traceWriter(lines: string[]): CaseObserver {
  return {
    caseStarted: ({ id, memlock }) => {
      lines.push(`${id}${memlock === null ? '' : `, memlock ${memlock} pages`}\n`);
    },
    stepAgreed: (trace, { step, result, state }) => {
      lines.push(`${step}: ${describeStep(trace.steps[step].action, result)}\n`);
      lines.push(...stateText(state).map((line) => `    ${line}\n`));
    },
    caseSkipped: ({ id }, { op, reason }) => lines.push(`${id} skipped for ${op}: ${reason}\n\n`),
    caseEnded: ({ id }, divergence) => lines.push(divergence === null ? `${id} agrees\n\n` : '\n'),
  };
}

/** Collects what `-v` prints: a line for each case. */
export function caseWriter(lines: string[]): CaseObserver {
  return {
    caseSkipped: ({ id }, { op, reason }) => lines.push(`${id}: skipped for ${op}: ${reason}\n`),
    caseEnded: ({ id, steps }, divergence) => {
      lines.push(
        `${id}: ${divergence === null ? `passed, ${steps.length} steps` : `failed at step ${divergence.step}`}\n`,
      );
    },
  };
}

/** What a document of a live run has more. */
export function liveJson(
  { kernel, dropped, refused, leftOut, minimised, signalled }: LiveReport,
  seed: number,
): object {
  return {
    recordedOn: kernel,
    seed,
    dropped,
    refused: Object.fromEntries(refused),
    leftOut: Object.fromEntries(leftOut),
    minimised: minimised.map(({ record }) => record),
    interrupted: signalled !== undefined,
  };
}

/** What of a live run did not become a case, if anything. */
export function liveText({ dropped, refused, leftOut, signalled }: LiveReport): string {
  const lines: string[] = [];
  if (signalled !== undefined) lines.push('interrupted: partial results');
  if (dropped.length > 0) lines.push(`${dropped.length} cases dropped: two recordings differ (${someOf(dropped)})`);
  for (const [reason, ids] of refused) lines.push(`${ids.length} cases not recorded: ${reason} (${someOf(ids)})`);
  for (const [reason, steps] of leftOut) lines.push(`${steps} random steps left out: ${reason}`);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n\n`;
}

function someOf(ids: readonly string[]): string {
  return ids.length > 3 ? `${ids.slice(0, 3).join(', ')}, ...` : ids.join(', ');
}
