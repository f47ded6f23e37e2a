/** Plain tables: no borders, one line per row where the terminal allows, so that they can be read and grepped. */
import Table from 'cli-table3';

/** What a table needs of a stream's colours. */
export interface TableColors {
  readonly bold: (text: string) => string;
}

const MIN_LAST_WIDTH = 30;
const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/**
 * `rows` under `head`; on a terminal of `columns` columns the last column is wrapped to fit. The columns whose numbers are
 * in `right` are aligned to the right.
 */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  colors: TableColors,
  { columns, right = [] }: { readonly columns?: number | undefined; readonly right?: readonly number[] } = {},
): string {
  const table = new Table({
    head: head.map((title) => colors.bold(title)),
    colAligns: head.map((_, column) => (right.includes(column) ? 'right' : 'left')),
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    wordWrap: true,
    colWidths: columns === undefined ? [] : widths([[...head], ...rows], columns),
  });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** Natural widths but for the last column, which gets what is left of the terminal. */
function widths(rows: readonly (readonly string[])[], columns: number): (number | null)[] {
  const last = rows[0].length - 1;
  let left = columns;
  for (let column = 0; column < last; column++) {
    left -= Math.max(...rows.map((row) => longestLine(row[column]))) + 2;
  }
  return rows[0].map((_, column) => (column === last ? Math.max(left, MIN_LAST_WIDTH) : null));
}

function longestLine(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length));
}
