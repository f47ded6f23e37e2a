/** The recorder: compiled on the host, a process that carries out steps on the running kernel. Linux on x86-64 only. */

import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../base/usageError.ts';

const COMPILE_TIMEOUT_MS = 60_000;
const END_OF_ANSWER = '.';
const REFUSAL = 'x ';

/** A compiled recorder in a temporary folder. */
export interface RecorderProgram {
  readonly path: string;
  /** Takes it away again. */
  readonly remove: () => void;
}

/** Compiles `source`. @throws UsageError without a C compiler that can */
export function compileRecorder(source: URL): RecorderProgram {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new UsageError(`--live records on Linux on x86-64, not on ${process.platform} on ${process.arch}`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'mmstorm-recorder-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const path = join(folder, 'recorder');
  try {
    const args = ['-O2', '-o', path, fileURLToPath(source)];
    execFileSync('cc', args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: COMPILE_TIMEOUT_MS });
    return { path, remove };
  } catch (error) {
    remove();
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: Buffer };
    if (code === 'ENOENT') throw new UsageError('--live needs a C compiler: there is no cc');
    const reason =
      stderr
        ?.toString()
        .split('\n')
        .find((line) => line.includes('error')) ?? String(error);
    throw new UsageError(`--live: cc does not compile the recorder: ${reason}`);
  }
}

/** The recorder says that a step, or anything at all, cannot be done. */
export class RecorderRefusal extends Error {
  override name = 'RecorderRefusal';
}

/** A running recorder. One request at a time. */
export class Recorder {
  /** How many ranges can be pinned in a case; 0: the host does not allow pins. */
  pins = 0;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly answers: AsyncIterator<string[]>;
  private ended = false;

  private constructor(child: ChildProcessWithoutNullStreams, answers: AsyncIterator<string[]>) {
    this.child = child;
    this.answers = answers;
  }

  /** Starts the program and waits until it is ready. @throws RecorderRefusal when it cannot work here */
  static async start(path: string): Promise<Recorder> {
    const child = spawn(path, [], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => {}); // its end shows as the end of its output
    child.stderr.resume();
    const answers = splitAnswers(child.stdout);
    const recorder = new Recorder(child, answers);
    const [greeting] = await recorder.nextAnswer();
    recorder.pins = parseInt(greeting.split(' ')[1], 16);
    return recorder;
  }

  /** Sends lines; returns the answer to each. @throws RecorderRefusal at the first that is refused */
  async ask(requests: readonly string[]): Promise<string[][]> {
    this.child.stdin.write(requests.map((line) => `${line}\n`).join(''));
    const answers: string[][] = [];
    let refusal: string | null = null;
    for (let i = 0; i < requests.length; i++) {
      const lines = await this.nextAnswer();
      refusal ??= lines.find((line) => line.startsWith(REFUSAL)) ?? null;
      answers.push(lines);
    }
    if (refusal !== null) throw new RecorderRefusal(refusal.slice(REFUSAL.length));
    return answers;
  }

  hasEnded(): boolean {
    return this.ended;
  }

  /** Ends the process and all of its own. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end();
    await exited;
  }

  private async nextAnswer(): Promise<string[]> {
    try {
      const next = await this.answers.next();
      if (next.done !== true) return next.value;
    } catch (error) {
      this.ended = true;
      throw error;
    }
    this.ended = true;
    throw new RecorderRefusal('the recorder ended without an answer');
  }
}

/** Lines up to a full stop. @throws RecorderRefusal with its last words when the recorder ends in the middle of an answer */
async function* splitAnswers(stream: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  let rest = '';
  let lines: string[] = [];
  for await (const chunk of stream) {
    const parts = (rest + chunk.toString('latin1')).split('\n');
    rest = parts.pop()!;
    for (const line of parts) {
      if (line !== END_OF_ANSWER) lines.push(line);
      else {
        yield lines;
        lines = [];
      }
    }
  }
  const words = lines.find((line) => line.startsWith(REFUSAL));
  if (words !== undefined) throw new RecorderRefusal(words.slice(REFUSAL.length));
}
