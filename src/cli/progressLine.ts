/** Progress on stderr: one line that is drawn over on a terminal, a line every ten seconds elsewhere. */
import { createLogUpdate } from 'log-update';

const QUIET_STREAM_MS = 10_000;

export interface ProgressLine {
  /** A line that stays: what is about to run. */
  note(text: string): void;
  /** The live line. */
  update(text: string): void;
  /** Nothing more comes. */
  end(): void;
}

/** @param quiet nothing but silence */
export function createProgressLine(stream: NodeJS.WriteStream, quiet: boolean): ProgressLine {
  if (quiet) return { note: () => {}, update: () => {}, end: () => {} };
  const live = stream.isTTY;
  const draw = createLogUpdate(stream);
  let last = performance.now();
  return {
    note: (text) => void stream.write(`${text}\n`),
    update(text) {
      if (live) draw(text);
      else if (performance.now() - last >= QUIET_STREAM_MS) {
        last = performance.now();
        stream.write(`${text}\n`);
      }
    },
    end() {
      if (live) draw.clear();
    },
  };
}
