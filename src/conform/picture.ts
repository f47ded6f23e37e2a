/**
 * A process's window as text: one column per present page and per run of absent ones, one VMA line and one page line per
 * state, so that two states can be compared column by column.
 *
 *   page      4090      4093      4094  4095
 *   expected  [rw-p ac-----------------]
 *                       f0 xe 64  z
 *   actual    [rw-p ac-][rw-p ac-------]
 *                       f0 *2 64  z
 */

import { describePage } from './describe.ts';
import type { ProcessState, VmaState } from './traceFormat.ts';

export interface PictureRow {
  readonly title: string;
  /** Null: the process does not exist in this state. */
  readonly state: ProcessState | null;
}

/** A column: pages [start, end), with the same VMA in each state throughout. */
interface Column {
  readonly start: number;
  readonly end: number;
  /** Per row: the VMA there, and the text of the page when the column is one page. */
  readonly vmas: readonly (VmaState | null)[];
  readonly pages: readonly string[];
}

const MAX_WIDTH = 112;
const MARGIN = 2;
const CUT = '...';

/** Lines of a picture of one or more states, cut to what lies around page `focus` when it is too wide. */
export function drawProcess(rows: readonly PictureRow[], focus: number | null): string[] {
  const columns = columnsOf(rows);
  if (columns.length === 0)
    return rows.map(({ title, state }) => `${title}: ${state === null ? 'no process' : 'empty'}`);
  const titles = ['page', ...rows.map(({ title }) => title)];
  const titleWidth = Math.max(...titles.map((title) => title.length)) + MARGIN;
  const widths = columns.map((column) => columnWidth(column));
  const [first, last] = chooseColumns(columns, widths, focus, MAX_WIDTH - titleWidth - 2 * CUT.length);
  const shown = columns.slice(first, last);
  const shownWidths = widths.slice(first, last);
  const before = first > 0 ? CUT : '';
  const after = last < columns.length ? CUT : '';
  const line = (title: string, text: string): string => {
    return `${title.padEnd(titleWidth)}${before}${text.trimEnd()}${after === '' ? '' : ` ${after}`}`.trimEnd();
  };
  const starts = shown.map(({ start }, i) => String(start).padEnd(shownWidths[i])).join('');
  const lines = [line('page', `${starts}${shown.at(-1)!.end}`)];
  for (const [row, { title, state }] of rows.entries()) {
    if (state === null) {
      lines.push(`${title.padEnd(titleWidth)}no process`);
      continue;
    }
    lines.push(line(title, shown.map((column, i) => vmaCell(column, row, shownWidths[i])).join('')));
    const pages = shown.map((column, i) => (column.pages[row] ?? '').padEnd(shownWidths[i])).join('');
    if (pages.trim() !== '') lines.push(line('', pages));
  }
  return lines;
}

function columnsOf(rows: readonly PictureRow[]): Column[] {
  const cuts = new Set<number>();
  for (const { state } of rows) {
    for (const { start, end } of state?.vmas.values() ?? []) cuts.add(start).add(end);
    for (const page of state?.pages.keys() ?? []) cuts.add(page).add(page + 1);
  }
  const sorted = [...cuts].sort((a, b) => a - b);
  return sorted.slice(0, -1).map((start, i) => ({
    start,
    end: sorted[i + 1],
    vmas: rows.map(({ state }) => (state === null ? null : vmaAt(state, start))),
    pages: rows.map(({ state }) => {
      const page = state?.pages.get(start);
      return page === undefined ? '' : describePage(page);
    }),
  }));
}

function vmaAt({ vmas }: ProcessState, page: number): VmaState | null {
  for (const vma of vmas.values()) if (vma.start <= page && page < vma.end) return vma;
  return null;
}

function columnWidth({ start, vmas, pages }: Column): number {
  const texts = [String(start), ...vmas.map((vma) => vmaLabel(vma, start)), ...pages];
  return Math.max(...texts.map((text) => text.length)) + MARGIN;
}

/** Permissions, flags, and for shared mappings the object with the offset in it. */
function vmaLabel(vma: VmaState | null, page: number): string {
  if (vma === null) return '.';
  if (vma.start !== page) return '';
  const object = vma.object === null ? '' : `${vma.object}+${vma.offset}`;
  return `[${[vma.perms, vma.flags, object].filter((word) => word !== '').join(' ')}`;
}

function vmaCell({ start, end, vmas }: Column, row: number, width: number): string {
  const vma = vmas[row]!;
  if (vma === null) return '.'.padEnd(width);
  const text = vmaLabel(vma, start).padEnd(width, '-');
  return vma.end === end ? `${text.slice(0, -1)}]` : text;
}

/** The range of columns to show: all, or as many around the focus as fit. */
function chooseColumns(
  columns: readonly Column[],
  widths: readonly number[],
  focus: number | null,
  room: number,
): [number, number] {
  const at = focus === null ? 0 : columns.findIndex(({ end }) => end > focus);
  let first = at < 0 ? columns.length - 1 : at;
  let last = first + 1;
  let used = widths[first];
  for (let grown = true; grown;) {
    grown = false;
    if (last < columns.length && used + widths[last] <= room) {
      used += widths[last++];
      grown = true;
    }
    if (first > 0 && used + widths[first - 1] <= room) {
      used += widths[--first];
      grown = true;
    }
  }
  return [first, last];
}
