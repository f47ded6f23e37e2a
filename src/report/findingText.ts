/** A finding for people: what, why, who, and the command that repeats it. */

import type { Finding } from '../base/finding.ts';

const WIDTH = 110;

/** Colours of a stream; every function may be the identity. */
export interface ReportColors {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
}

/** One finding; `label` begins its first line. */
export function formatFinding(finding: Finding, label: string, colors: ReportColors): string {
  const lines = [
    colors.red(colors.bold(`${label} [${finding.kind} ${finding.id}]: ${finding.title}`)),
    ...finding.evidence.map((line) => `    ${line}`),
  ];
  if (finding.bug !== undefined) lines.push(...wrap(`  bug:       ${finding.bug}`, '             '));
  if (finding.reference !== undefined) lines.push(`  reference: ${finding.reference}`);
  lines.push(`  reproduce: ${finding.reproduce}`);
  return lines.join('\n');
}

/** A long line in lines of at most WIDTH columns; the later ones begin with `indent`. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > WIDTH) {
    const space = rest.lastIndexOf(' ', WIDTH);
    const cut = space > indent.length ? space : WIDTH;
    lines.push(rest.slice(0, cut));
    rest = indent + rest.slice(cut).trimStart();
  }
  return [...lines, rest];
}
