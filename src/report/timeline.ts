/**
 * A trace as text: a column per CPU, lock holds as bars beside it, the moment the invariant broke marked.
 *
 * The short form is what is read in a minute: switches, locks that are held across them, and the accesses by which the CPUs
 * influence each other, the weightiest first as long as there is room. The full form has every access.
 */

import { weighEvents } from './timelineSelect.ts';
import { rowsOf, type Row, type RowStyle } from './timelineRows.ts';
import { holdsOf, holdsOfFinding, segmentsOf, type Hold } from './traceFacts.ts';
import type { Trace } from './trace.ts';
import { wrap } from './wrap.ts';

/** What the timeline needs of a stream's colours. */
export interface TimelineColors {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

export interface TimelineOptions {
  readonly form: 'short' | 'full';
  /** Of a line, 80 to 120; 110 by default. */
  readonly columns?: number | undefined;
  /** What each thread does, for the heads of the columns. */
  readonly roles?: readonly string[] | undefined;
  /** None by default. */
  readonly colors?: TimelineColors | undefined;
  /** Lines that the short form may have; 40 by default. */
  readonly maxLines?: number | undefined;
}

const DEFAULT_COLUMNS = 110;
const DEFAULT_LINES = 40;
const STEP_WIDTH = 5;
const MAX_BARS = 6;
const GAP = 2;

const plain = (text: string): string => text;
const NO_COLORS: TimelineColors = { bold: plain, dim: plain, red: plain, yellow: plain, cyan: plain };

/** The lines of the timeline. */
export function timelineLines(trace: Trace, options: TimelineOptions): string[] {
  const page = new Page(trace, options);
  if (options.form === 'full') {
    const holds = holdsOf(trace);
    return page.lines(rowsOf(trace, { shown: null, holds }), holds);
  }
  const byWeight = [...weighEvents(trace)].sort(([a, weightA], [b, weightB]) => weightB - weightA || a - b);
  const shortWith = (count: number): string[] => {
    const shown = new Set(byWeight.slice(0, count).map(([index]) => index));
    const holds = holdsThatMatter(trace, shown);
    return page.lines(thinned(rowsOf(trace, { shown, holds })), holds);
  };
  const { maxLines = DEFAULT_LINES } = options;
  let [fits, tooMany] = [0, byWeight.length + 1];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (shortWith(middle).length <= maxLines) fits = middle;
    else tooMany = middle;
  }
  return lastLines(shortWith(fits), maxLines);
}

/** The head and as many of the last lines as there is room for: what matters comes last. */
function lastLines(lines: readonly string[], maxLines: number): string[] {
  if (lines.length <= maxLines) return [...lines];
  const rest = maxLines - 2;
  return [lines[0], `${' '.repeat(STEP_WIDTH + GAP)}… ${lines.length - 1 - rest} lines before`, ...lines.slice(-rest)];
}

/** Holds across a switch, those around an access that is shown, those that the finding is about. */
function holdsThatMatter(trace: Trace, shown: ReadonlySet<number>): Hold[] {
  const starts = segmentsOf(trace).map(({ from }) => from);
  const ofFinding = new Set(holdsOfFinding(trace).map(({ from }) => from));
  return holdsOf(trace).filter(({ from, to, name, task }) => {
    if (name === 'rcu_read_lock') return false;
    if (ofFinding.has(from) || starts.some((start) => start > from && start < to)) return true;
    return [...shown].some((index) => index > from && index < to && trace.events[index].task === task);
  });
}

/** Switches without anything in between say nothing when there are many. */
function thinned(rows: readonly Row[]): readonly Row[] {
  const switches = rows.filter(({ style }) => style === 'switch').length;
  if (switches <= 10) return rows;
  return rows.filter((row, index) => row.style !== 'switch' || rows.at(index + 1)?.style !== 'switch');
}

/** Puts rows into columns. */
class Page {
  private readonly tasks: readonly string[];
  private readonly roles: readonly string[];
  private readonly columns: number;
  private readonly colors: TimelineColors;
  private bars: (Hold | null)[][] = [];
  private width = 0;
  private slots: number[] = [];

  constructor({ tasks }: Trace, { columns = DEFAULT_COLUMNS, roles = [], colors = NO_COLORS }: TimelineOptions) {
    this.tasks = tasks;
    this.roles = roles;
    this.columns = columns;
    this.colors = colors;
  }

  lines(rows: readonly Row[], holds: readonly Hold[]): string[] {
    this.slots = this.tasks.map((_, task) => Math.min(mostAtOnce(holds, task), MAX_BARS));
    this.bars = this.slots.map((count) => new Array<Hold | null>(count).fill(null));
    this.width = Math.floor((this.columns - STEP_WIDTH) / this.tasks.length) - GAP;
    return [this.head(), ...rows.flatMap((row) => this.row(row))];
  }

  private head(): string {
    const names = this.tasks.map((name, task) => {
      const role = this.roles.at(task);
      return fit(role === undefined ? name : `${name}: ${role}`, this.width);
    });
    return this.colors.bold(`${'step'.padStart(STEP_WIDTH)}${' '.repeat(GAP)}${names.join(' '.repeat(GAP))}`.trimEnd());
  }

  private row(row: Row): string[] {
    if (row.task < 0) return this.across(row);
    const bars = this.bars[row.task];
    const opened = row.opens.map((hold) => this.open(bars, hold));
    const closed = row.closes.map((hold) => bars.indexOf(hold));
    const room = this.width - this.gutter(row.task, () => ' ').length;
    const mark = (slot: number): string => {
      if (opened.includes(slot)) return closed.includes(slot) ? '╶' : '┌';
      return closed.includes(slot) ? '└' : bars[slot] === null ? ' ' : '│';
    };
    const texts = wrap(row.text, room);
    const lines = texts.map((text, index) => {
      const cells = this.tasks.map((_, task) => {
        const own = task === row.task;
        const gutter = this.gutter(
          task,
          own && index === 0 ? mark : (slot) => (this.bars[task][slot] === null ? ' ' : '│'),
        );
        return { plain: own ? `${gutter}${text}` : gutter, own };
      });
      if (index === 0) for (const slot of closed) if (slot >= 0) bars[slot] = null;
      return this.line(index === 0 ? String(row.step) : '', cells, row.style);
    });
    return lines;
  }

  /** Takes a free place for a hold. @returns the place, -1 if there is none */
  private open(bars: (Hold | null)[], hold: Hold): number {
    const slot = bars.indexOf(null);
    if (slot >= 0) bars[slot] = hold;
    return slot;
  }

  private gutter(task: number, mark: (slot: number) => string): string {
    const count = this.slots[task];
    if (count === 0) return '';
    return `${Array.from({ length: count }, (_, slot) => mark(slot)).join('')} `;
  }

  private line(step: string, cells: readonly { plain: string; own: boolean }[], style: RowStyle): string {
    const text = cells
      .map(({ plain: cell, own }, task) => {
        const padded = task === cells.length - 1 ? cell : cell.padEnd(this.width);
        return own ? this.paint(style)(padded) : this.colors.dim(padded);
      })
      .join(' '.repeat(GAP));
    return `${this.colors.dim(step.padStart(STEP_WIDTH))}${' '.repeat(GAP)}${text}`.trimEnd();
  }

  private across({ step, text, style }: Row): string[] {
    const room = this.columns - STEP_WIDTH - GAP;
    const isRule = style === 'switch';
    const texts = wrap(style === 'violation' ? `!!! ${text}` : text, isRule ? room - 6 : room);
    return texts.map((part, index) => {
      const shown = isRule && index === 0 ? `── ${part} ${'─'.repeat(Math.max(room - part.length - 4, 0))}` : part;
      const number = index === 0 ? String(step) : '';
      return `${this.colors.dim(number.padStart(STEP_WIDTH))}${' '.repeat(GAP)}${this.paint(style)(shown)}`.trimEnd();
    });
  }

  private paint(style: RowStyle): (text: string) => string {
    const { bold, dim, red, yellow, cyan } = this.colors;
    const styles: Record<RowStyle, (text: string) => string> = {
      access: plain,
      write: bold,
      lock: cyan,
      switch: dim,
      wait: yellow,
      place: dim,
      violation: (text) => bold(red(text)),
    };
    return styles[style];
  }
}

function mostAtOnce(holds: readonly Hold[], task: number): number {
  const own = holds.filter((hold) => hold.task === task);
  return Math.max(0, ...own.map(({ from }) => own.filter((other) => other.from <= from && other.to > from).length));
}

function fit(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}…`;
}
