/**
 * Records cases on the running kernel and holds the simulated one against each at once. A case is recorded twice in fresh
 * processes and dropped if the recordings differ; one that shows a divergence is cut down to the steps it takes.
 */

import { emptyResult, judgeCase, type CaseObserver, type ConformResult } from '../conform.ts';
import type { Divergence } from '../divergence.ts';
import { Malformed } from '../malformed.ts';
import { minimiseSteps } from '../minimise.ts';
import type { CaseRunner } from '../runner.ts';
import type { Action, TraceCase } from '../traceFormat.ts';
import { hugePoolProblem } from './host.ts';
import { recordCase, type CaseScript, type Recording } from './record.ts';
import { Recorder, RecorderRefusal } from './recorder.ts';

export interface LiveOptions {
  /** Path of the compiled recorder. */
  readonly program: string;
  /** The running kernel, in words. */
  readonly kernel: string;
  readonly scripts: Iterable<CaseScript> | AsyncIterable<CaseScript>;
  readonly runnerFor: (trace: TraceCase) => CaseRunner;
  readonly observer: LiveObserver;
  /** False once the run is to end. */
  readonly mayGoOn: () => boolean;
}

export interface LiveObserver extends CaseObserver {
  readonly caseRecorded?: (recording: Recording) => void;
  readonly minimising?: (steps: number) => void;
}

export interface LiveResult {
  readonly result: ConformResult;
  /** Cases whose two recordings differ, and by reason those that could not be carried out. */
  readonly dropped: string[];
  readonly refused: Map<string, string[]>;
  /** The shortest recording found for each divergence; the divergence in `result` is that of this recording. */
  readonly minimised: Recording[];
}

/** @throws RecorderRefusal when the recorder cannot work on this host */
export async function runLive(options: LiveOptions): Promise<LiveResult> {
  const live: LiveResult = { result: emptyResult(), dropped: [], refused: new Map(), minimised: [] };
  const host = new LiveHost(options.program, options.kernel);
  await host.start();
  try {
    for await (const script of options.scripts) {
      if (!options.mayGoOn()) break;
      await runScript(live, host, script, options);
    }
  } finally {
    await host.stop();
  }
  return live;
}

async function runScript(live: LiveResult, host: LiveHost, script: CaseScript, options: LiveOptions): Promise<void> {
  const { observer, runnerFor } = options;
  const recording = await host.recordTwice(script);
  if (typeof recording === 'string') {
    live.refused.set(recording, [...(live.refused.get(recording) ?? []), script.id]);
    return;
  }
  if (recording === null) {
    live.dropped.push(script.id);
    return;
  }
  observer.caseRecorded?.(recording);
  const runner = runnerFor(recording.trace);
  const divergence = judgeCase(live.result, recording.trace, runner, observer);
  if (divergence === null) return;
  const minimised = await minimise(host, script, divergence, runner, options);
  live.minimised.push(minimised ?? recording);
  const shortest = minimised === null ? null : runner(minimised.trace, null);
  if (shortest !== null) live.result.divergences[live.result.divergences.length - 1] = shortest;
}

/** The same divergence (operation and aspect) in fewer steps; null when the recording as it is cannot be repeated. */
async function minimise(
  host: LiveHost,
  script: CaseScript,
  { op, aspect, step }: Divergence,
  runner: CaseRunner,
  { observer, mayGoOn }: LiveOptions,
): Promise<Recording | null> {
  let best: Recording | null = null;
  const stillFails = async (actions: readonly Action[]): Promise<boolean> => {
    observer.minimising?.(actions.length);
    const recording = await host.recordTwice({ ...script, actions });
    if (recording === null || typeof recording === 'string') return false;
    const divergence = runner(recording.trace, null);
    const isSame = divergence?.op === op && divergence.aspect === aspect;
    if (isSame) best = recording;
    return isSame;
  };
  const upToIt = script.actions.slice(0, step + 1);
  if (await stillFails(upToIt)) await minimiseSteps(upToIt, stillFails, mayGoOn);
  return best;
}

/** A recorder that is started again when it ends. */
class LiveHost {
  private recorder: Recorder | null = null;
  private readonly program: string;
  private readonly kernel: string;

  constructor(program: string, kernel: string) {
    this.program = program;
    this.kernel = kernel;
  }

  async start(): Promise<Recorder> {
    this.recorder ??= await Recorder.start(this.program);
    return this.recorder;
  }

  async stop(): Promise<void> {
    await this.recorder?.stop();
    this.recorder = null;
  }

  /** The recording, null when a second one differs, or why there is none. */
  async recordTwice(script: CaseScript): Promise<Recording | string | null> {
    if (needsHugePages(script)) {
      const problem = hugePoolProblem();
      if (problem !== null) return problem;
    }
    try {
      const first = await recordCase(await this.start(), script, this.kernel);
      const second = await recordCase(await this.start(), script, this.kernel);
      return JSON.stringify(first.record) === JSON.stringify(second.record) ? first : null;
    } catch (error) {
      // What was carried out may be no trace: a step that a failed one before it makes meaningless.
      if (error instanceof Malformed) return `not a case: ${error.message}`;
      if (!(error instanceof RecorderRefusal)) throw error;
      if (this.recorder?.hasEnded() === true) await this.stop();
      return error.message;
    }
  }
}

function needsHugePages({ actions }: CaseScript): boolean {
  return actions.some((action) => action.op === 'mmap' && action.flags.includes('hugetlb'));
}
