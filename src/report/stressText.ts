/** The final report of a stress run: findings last, because the eye ends there. */

import { formatFinding, type ReportColors } from './findingText.ts';
import type { StressDocument, StressFinding } from './stressDocument.ts';
import { renderTable } from './table.ts';
import { wrap } from './wrap.ts';

/** The whole report. */
export function formatStress(document: StressDocument, colors: ReportColors): string {
  const parts = [
    heading(document, colors),
    inputLines(document),
    operationsTable(document, colors),
    locksTable(document, colors),
    checksLine(document),
    ...document.findings.map((finding, i) => findingText(finding, i + 1, colors)),
    verdict(document, colors),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function heading(document: StressDocument, colors: ReportColors): string {
  const { kernel, bug, seed, workers, elapsedMs, interrupted } = document;
  const what = bug === undefined ? kernel : `${kernel} with ${bug}`;
  const partial = interrupted ? ' (interrupted: partial results)' : '';
  return colors.bold(`stress: ${what}, seed ${seed}, ${workers} CPUs, ${(elapsedMs / 1000).toFixed(1)} s${partial}`);
}

function inputLines({ input }: StressDocument): string {
  if (input === undefined) return '';
  const skipped = Object.entries(input.skipped).map(([name, count]) => `${name} ${count}`);
  const lines = [
    `input: ${input.file}: ${input.calls} calls of ${input.threads} threads in ${input.addressSpaces} address spaces, ` +
      `run ${input.rounds} time${input.rounds === 1 ? '' : 's'}`,
    `  not run: ${input.withoutEffect} without effect, ${input.unplaced} on memory that nothing maps`,
    ...(skipped.length === 0 ? [] : wrap(`skipped lines: ${skipped.join(', ')}`, 100).map((line) => `  ${line}`)),
    ...(input.fileMappings === 0 ? [] : [`  ${input.fileMappings} file mappings run as anonymous memory`]),
    `  outcomes: ${input.agreed} as recorded, ${input.differed} otherwise`,
    ...input.differences.map((difference) => `    ${difference}`),
  ];
  return lines.join('\n');
}

function operationsTable(document: StressDocument, colors: ReportColors): string {
  const rows = Object.entries(document.ops).map(([name, op]) => [
    name,
    op.count.toLocaleString('en'),
    formatFailures(op.failed),
    formatNs(op.p50Ns),
    formatNs(op.p99Ns),
    formatNs(op.maxNs),
  ]);
  const total = document.totalOps.toLocaleString('en');
  const rate = Math.round(document.opsPerSecond).toLocaleString('en');
  const head = ['operation', 'count', 'failed', 'p50', 'p99', 'max'];
  const table = renderTable(head, rows, colors, { right: [1, 3, 4, 5] });
  return `${table}${total} operations, ${rate} per second`;
}

function locksTable(document: StressDocument, colors: ReportColors): string {
  const rows = document.locks.map((lock) => [
    lock.class,
    lock.acquisitions.toLocaleString('en'),
    lock.contended.toLocaleString('en'),
    formatNs(lock.waitP99Ns),
    formatNs(lock.holdP99Ns),
  ]);
  return rows.length === 0
    ? ''
    : renderTable(['lock class', 'acquired', 'contended', 'wait p99', 'hold p99'], rows, colors, {
        right: [1, 2, 3, 4],
      }).trimEnd();
}

function checksLine(document: StressDocument): string {
  const checks = Object.entries(document.checks).map(([name, count]) => `${name} ${count.toLocaleString('en')}`);
  const injected = document.injectedFailures;
  const failures = injected === 0 ? '' : `\nallocations made to fail: ${injected.toLocaleString('en')}`;
  return checks.length === 0 ? `checks: off${failures}` : `checks: ${checks.join(', ')}${failures}`;
}

function findingText(finding: StressFinding, number: number, colors: ReportColors): string {
  const text = formatFinding(finding, `finding ${number}`, colors);
  return finding.search === undefined ? text : `${text}\n  search:    ${finding.search}`;
}

function verdict(document: StressDocument, colors: ReportColors): string {
  const { findings } = document;
  if (findings.length === 0) return colors.green('nothing found');
  return colors.red(`${findings.length} finding${findings.length === 1 ? '' : 's'}`);
}

function formatFailures(failed: Readonly<Record<string, number>>): string {
  return Object.entries(failed)
    .map(([errno, count]) => `${errno} ${count.toLocaleString('en')}`)
    .join(' ');
}

/** 950 ns, 12.3 us, 4.56 ms, 1.20 s. */
function formatNs(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toPrecision(3)} us`;
  if (ns < 1e9) return `${(ns / 1e6).toPrecision(3)} ms`;
  return `${(ns / 1e9).toPrecision(3)} s`;
}
