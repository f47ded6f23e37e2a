/** `mmstorm conform --random`: random sequences on the simulated kernel against a plain model of address spaces. */
import { describeStep } from '../../conform/describe.ts';
import { minimiseSteps } from '../../conform/minimise.ts';
import { createSequenceRunner, type SequenceRunner } from '../../conform/random/sequenceRunner.ts';
import type { Action } from '../../conform/traceFormat.ts';
import type { Rules } from '../../rules/rules.ts';
import { exploredUrl } from '../artifacts.ts';
import type { ExitCode } from '../exitCode.ts';
import { interruptible } from '../interrupt.ts';
import type { ProgressLine } from '../progressLine.ts';

/** Sequences between two looks at the signals. */
const BATCH = 200;

export interface RandomRequest {
  readonly sequences: number;
  readonly seed: number;
  readonly rules: Rules;
  readonly build: 'threads' | 'explored';
}

export interface RandomReport {
  readonly seed: number;
  readonly sequences: number;
  readonly steps: number;
  readonly elapsedMs: number;
  /** The first sequence that parts from the model, cut down; null: none does. */
  readonly difference: {
    readonly sequence: number;
    readonly steps: readonly Action[];
    readonly problem: string;
  } | null;
  readonly signalled: ExitCode | undefined;
}

/** Runs until a sequence parts from the model, or all are done. */
export async function conformRandom(request: RandomRequest, progress: ProgressLine): Promise<RandomReport> {
  const { seed, sequences: wanted } = request;
  const runner = await loadRunner(request);
  const start = performance.now();
  let mayGoOn = true;
  let sequences = 0;
  let steps = 0;
  const work = async (): Promise<RandomReport['difference']> => {
    for (; sequences < wanted && mayGoOn; sequences++) {
      if (sequences % BATCH === 0) {
        progress.update(`${sequences} sequences, ${steps} steps`);
        await new Promise(setImmediate);
      }
      const { actions, problem } = runner.run(seed, sequences);
      steps += actions.length;
      if (problem !== null) return await cutDown(runner, sequences, actions, problem);
    }
    return null;
  };
  const { result: difference, signalled } = await interruptible(() => (mayGoOn = false), work);
  if (difference !== null) sequences++;
  return { seed, sequences, steps, elapsedMs: performance.now() - start, difference, signalled };
}

async function loadRunner({ rules, build }: RandomRequest): Promise<SequenceRunner> {
  if (build === 'threads') return createSequenceRunner(rules);
  const explored = (await import(exploredUrl('sequences').href)) as {
    createSequenceRunner: typeof createSequenceRunner;
  };
  return explored.createSequenceRunner(rules);
}

/** The steps that it takes; what then goes wrong may be told in other numbers. */
async function cutDown(
  runner: SequenceRunner,
  sequence: number,
  actions: readonly Action[],
  problem: string,
): Promise<RandomReport['difference']> {
  const kind = kindOf(problem);
  const fails = (candidate: readonly Action[]): boolean => kindOf(runner.runSteps(candidate).problem) === kind;
  const steps = fails(actions) ? await minimiseSteps(actions, fails, () => true) : actions;
  return { sequence, steps, problem: runner.runSteps(steps).problem ?? problem };
}

function kindOf(problem: string | null): string {
  return problem === null ? '' : problem.replace(/;.*/, '').replace(/\d+/g, '#');
}

/** What a person reads. */
export function randomText({ seed, sequences, steps, elapsedMs, difference, signalled }: RandomReport): string {
  const lines: string[] = signalled === undefined ? [] : ['interrupted: partial results'];
  if (difference !== null) {
    lines.push(`sequence ${difference.sequence} parts from the model: ${difference.problem}`);
    lines.push(...difference.steps.map((action, i) => `  ${i}: ${describeStep(action)}`), '');
  }
  const rate = Math.round((steps / elapsedMs) * 1000);
  const verdict = difference === null ? 'no difference' : '1 difference';
  lines.push(`${sequences} random sequences, seed ${seed}, ${steps} steps (${rate} steps/s): ${verdict}`);
  return `${lines.join('\n')}\n`;
}
