/** A benchmark case: something that is done `batch` times per measured call, and the floor it is compared with. */

export interface BenchCase {
  readonly name: string;
  readonly group: string;
  /** What one unit is: `pair`, `page`, `call`. */
  readonly unit: string;
  /** Units per call of the returned function. */
  readonly batch: number;
  /** Prepares a world of its own and returns what is measured; `reset` runs between calls, outside the clock. */
  readonly setup: () => Measured;
  /** Name of the case in the same group whose figure this one is divided by in the table; absent: the raw floor. */
  readonly against?: string;
}

export interface Measured {
  readonly run: () => void;
  readonly reset?: () => void;
}

/** What the process of one case prints. */
export interface CaseFigure {
  readonly name: string;
  /** Nanoseconds per unit: fastest and middle of the samples. */
  readonly minNs: number;
  readonly medianNs: number;
  readonly samples: number;
  /** The raw floor, a compare-exchange and a store on shared memory, measured in the same process. */
  readonly floorNs: number;
}
