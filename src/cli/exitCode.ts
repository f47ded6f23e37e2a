/** What the process says to a script. Part of the interface: `mmstorm --help` prints this table. */
export const ExitCode = {
  /** Nothing found and all done. */
  ok: 0,
  /** Findings, or a divergence. */
  findings: 1,
  /** Usage, configuration or input error. */
  usage: 2,
  /** A threshold or a budget was missed. */
  missed: 3,
  /** Nothing matched. */
  nothingMatched: 4,
  /** A limit was reached before an answer. */
  inconclusive: 5,
  /** A bug of mmstorm itself, a worker that died included. */
  internal: 70,
  interrupted: 130,
  /** The reader of our output went away. */
  readerClosed: 141,
  terminated: 143,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
