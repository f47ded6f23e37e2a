/** `mmstorm conform --live`: traces recorded on the running kernel, held against the simulated one at once. */
import type { CaseObserver } from '../../conform/conform.ts';
import { HostSettings, hostKernel } from '../../conform/live/host.ts';
import { findLimits } from '../../conform/live/limits.ts';
import { runLive, type LiveResult } from '../../conform/live/liveRun.ts';
import type { Recording } from '../../conform/live/record.ts';
import { compileRecorder } from '../../conform/live/recorder.ts';
import { fileScripts, randomScripts, type LeftOut } from '../../conform/live/scripts.ts';
import { findTraceFiles } from '../../conform/inputFiles.ts';
import type { Family } from '../../conform/random/families.ts';
import type { CaseRunner } from '../../conform/runner.ts';
import type { TraceCase } from '../../conform/traceFormat.ts';
import { headerRecord, traceText } from '../../conform/writeTrace.ts';
import { recorderSourceUrl } from '../artifacts.ts';
import { interruptible } from '../interrupt.ts';
import { emit } from '../output.ts';
import type { ExitCode } from '../exitCode.ts';
import type { ProgressLine } from '../progressLine.ts';

export interface LiveRequest {
  readonly families: readonly Family[];
  readonly cases: number;
  readonly seed: number;
  /** Trace files whose cases are recorded again instead of random ones. */
  readonly files: readonly string[];
  readonly caseId: string | null;
  /** Trace file for the divergences, cut down; and for all recordings. */
  readonly output: string | undefined;
  readonly record: string | undefined;
}

export interface LiveReport extends LiveResult {
  readonly kernel: string;
  readonly leftOut: LeftOut;
  readonly signalled: ExitCode | undefined;
}

/** Records and compares. @throws UsageError when this host does not allow it, in one line that says why */
export async function conformLive(
  request: LiveRequest,
  runnerFor: (trace: TraceCase) => CaseRunner,
  writer: CaseObserver,
  progress: ProgressLine,
): Promise<LiveReport> {
  const files = findTraceFiles(request.files);
  const program = compileRecorder(recorderSourceUrl());
  const settings = new HostSettings();
  const restore = (): void => settings.restore();
  process.once('exit', restore);
  const kernel = hostKernel();
  const leftOut: LeftOut = new Map();
  const recordings: Recording[] = [];
  let mayGoOn = true;
  let recorded = 0;
  const observer = {
    ...writer,
    caseRecorded: (recording: Recording) => {
      if (request.record !== undefined) recordings.push(recording);
      progress.update(`${++recorded} cases recorded, now ${recording.trace.id}`);
    },
    minimising: (steps: number) => progress.update(`${recorded} cases recorded, minimising: ${steps} steps`),
  };
  try {
    const limits = await findLimits(program.path, settings, kernel);
    progress.note(`recording on ${kernel}, seed ${request.seed}`);
    const scripts =
      files.length > 0 ? fileScripts(files, request.caseId) : randomScripts({ ...request, limits, leftOut });
    const { result: live, signalled } = await interruptible(
      () => (mayGoOn = false),
      () => runLive({ program: program.path, kernel, scripts, runnerFor, observer, mayGoOn: () => mayGoOn }),
    );
    writeTraces(request.output, kernel, live.minimised);
    writeTraces(request.record, kernel, recordings);
    return { ...live, kernel, leftOut, signalled };
  } finally {
    restore();
    process.off('exit', restore);
    program.remove();
  }
}

function writeTraces(file: string | undefined, kernel: string, recordings: readonly Recording[]): void {
  if (file === undefined) return;
  emit(traceText([headerRecord(kernel), ...recordings.map(({ record }) => record)]), file);
}
