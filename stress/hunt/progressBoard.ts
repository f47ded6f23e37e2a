/**
 * The words that the threads of an exploration share with the main thread: whether to stop, the lowest number of an
 * execution that failed, and how far each shard is. Read by the main thread while the others are too busy for messages.
 */

const STOP = 0;
const FIRST_FAILURE = 1;
const SHARDS_AT = 2;
/** Per shard: executions, steps / STEP_UNIT. */
const SHARD_WORDS = 2;
const STEP_UNIT = 1024;
const NONE = 0x7fff_ffff;

export class ProgressBoard {
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;

  /** Attaches to a board. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
  }

  /** A fresh one. */
  static create(shards: number): ProgressBoard {
    const board = new ProgressBoard(new SharedArrayBuffer((SHARDS_AT + shards * SHARD_WORDS) * 4));
    Atomics.store(board.words, FIRST_FAILURE, NONE);
    return board;
  }

  /** Asks every shard to end behind its present execution. */
  stop(): void {
    Atomics.store(this.words, STOP, 1);
  }

  get stopped(): boolean {
    return Atomics.load(this.words, STOP) !== 0;
  }

  /** Execution `number` failed: those behind it need not run. */
  failed(number: number): void {
    for (;;) {
      const first = Atomics.load(this.words, FIRST_FAILURE);
      if (first <= number || Atomics.compareExchange(this.words, FIRST_FAILURE, first, number) === first) return;
    }
  }

  /** True while an execution with this number may still be the first that fails. */
  isWanted(number: number): boolean {
    return number < Atomics.load(this.words, FIRST_FAILURE);
  }

  /** A shard tells how far it is. */
  advance(shard: number, executions: number, steps: number): void {
    Atomics.store(this.words, SHARDS_AT + shard * SHARD_WORDS, executions);
    Atomics.store(this.words, SHARDS_AT + shard * SHARD_WORDS + 1, Math.floor(steps / STEP_UNIT));
  }

  /** Executions and steps of all shards so far, the steps roughly. */
  totals(): { readonly executions: number; readonly steps: number } {
    let executions = 0;
    let steps = 0;
    for (let at = SHARDS_AT; at < this.words.length; at += SHARD_WORDS) {
      executions += Atomics.load(this.words, at);
      steps += Atomics.load(this.words, at + 1) * STEP_UNIT;
    }
    return { executions, steps };
  }
}
