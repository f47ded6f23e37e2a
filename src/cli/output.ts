/** Results go to stdout or to the file of `-o`; everything else goes to stderr. */
import pc from 'picocolors';
import type { ColorMode } from './options.ts';
import { writeWhole } from './outputFile.ts';

export type Colors = ReturnType<typeof pc.createColors>;

/** Writes a result: to `file` when there is one, else to stdout. */
export function emit(text: string, file?: string): void {
  if (file === undefined) process.stdout.write(text);
  else writeWhole(file, text);
}

/** The one JSON document of `--json`. */
export function jsonText(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Colours for a stream, judged for that stream alone. */
export function colorsFor(stream: { isTTY?: boolean }, mode: ColorMode): Colors {
  return pc.createColors(wantsColor(stream, mode));
}

function wantsColor(stream: { isTTY?: boolean }, mode: ColorMode): boolean {
  if (mode !== 'auto') return mode === 'always';
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0';
  return TERM !== 'dumb' && stream.isTTY === true;
}
