/**
 * A stress run, seen from the main thread: it builds the machine, starts one worker per simulated CPU, looks at shared
 * memory while they run, and never waits for them without a limit. Whatever happens to the arena or to a worker, a document
 * comes back.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Mutex } from 'async-mutex';
import { Piscina } from 'piscina';
import { requestAbort, requestStop } from '../../src/arena/header.ts';
import { listRules } from '../../src/rules/resolve.ts';
import { STRESS_SCHEMA, type StressDocument } from '../../src/report/stressDocument.ts';
import { inputWords } from '../input/inputRun.ts';
import { summariseInput } from '../input/inputSummary.ts';
import { formatMix } from '../mix.ts';
import { stressSection } from '../section.ts';
import type { CpuData, CpuResult, ViolationMessage } from './cpuData.ts';
import { isFatal } from './fatal.ts';
import { Findings } from './findings.ts';
import { createStressMachine, type StressMachine } from './machine.ts';
import { lockResults, operationResults, totalOperations } from './statistics.ts';
import type { StressOptions } from './stressOptions.ts';
import { Watchdog } from './watchdog.ts';

const LOOK_MS = 100;
/** After the end of the run: time for the CPUs to take everything down. */
const TAKE_DOWN_MS = 30_000;
/** After an abort: time for the CPUs to unwind before the threads are ended. */
const UNWIND_MS = 2_000;
const CHECK_INTERVAL_MS = 250;

/** What a caller sees while the run goes on. */
export interface StressProgress {
  readonly elapsedMs: number;
  readonly totalOps: number;
  readonly findings: number;
}

export interface StressControl {
  /** Bundle of workers/stressWorker.ts. */
  readonly worker: URL;
  readonly onProgress: (progress: StressProgress) => void;
  /** Aborted: the run ends softly and the document says so. */
  readonly signal: AbortSignal;
}

/** Runs it. @throws UsageError when the machine does not fit; never because of what happens in the run */
export async function runStress(options: StressOptions, control: StressControl): Promise<StressDocument> {
  const { workers, processes, lockdep, input } = options;
  const words = input === undefined ? 0 : inputWords(input.program, workers);
  const machine = createStressMachine(workers, processes, lockdep, words);
  const run = new StressRun(options, control, machine);
  return run.document(await run.cpus());
}

class StressRun {
  private readonly options: StressOptions;
  private readonly control: StressControl;
  private readonly machine: StressMachine;
  private readonly findings: Findings;
  private readonly watchdog: Watchdog;
  /** Orders everything that changes the findings: messages, the watchdog, the workers' ends. */
  private readonly order = new Mutex();
  private readonly startMs = performance.now();
  private endMs = Infinity;
  private deadlineMs = Infinity;
  private interrupted = false;

  constructor(options: StressOptions, control: StressControl, machine: StressMachine) {
    this.options = options;
    this.control = control;
    this.machine = machine;
    this.findings = new Findings(options.bug, options.reproduce);
    this.watchdog = new Watchdog(machine.heap, options.hungMs, this.startMs);
  }

  /** Runs every CPU to its end. A CPU whose thread died or had to be ended is missing from the result. */
  async cpus(): Promise<CpuResult[]> {
    const { workers } = this.options;
    const pool = new Piscina({
      filename: this.control.worker.href,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      atomics: 'disabled',
      // Lockdep names the places where locks are taken.
      execArgv: ['--enable-source-maps'],
    });
    // A rejected task is a thread that died; the pool itself may complain once more.
    pool.on('error', (error: unknown) => void this.crashed(error));
    const looking = setInterval(() => void this.look(), LOOK_MS);
    const ports: MessagePort[] = [];
    const results: CpuResult[] = [];
    const running = Array.from({ length: workers }, (_, cpu) => this.startCpu(pool, cpu + 1, ports, results));
    const ended = new AbortController();
    try {
      await Promise.race([Promise.all(running), this.overdue(ended.signal)]);
    } finally {
      ended.abort();
      clearInterval(looking);
      this.endMs = Math.min(this.endMs, performance.now());
      await pool.destroy();
      await this.drain(ports);
    }
    return results;
  }

  /** The run as data. */
  document(results: readonly CpuResult[]): StressDocument {
    const { options, machine } = this;
    const section = stressSection(machine.heap, machine.shape);
    const elapsedMs = Math.round(this.endMs - this.startMs);
    const totalOps = totalOperations(machine.heap, section, options.workers);
    const checks: Record<string, number> = {};
    for (const { checkCounts } of results) {
      for (const [name, count] of Object.entries(checkCounts)) checks[name] = (checks[name] ?? 0) + count;
    }
    return {
      schema: STRESS_SCHEMA,
      command: 'stress',
      kernel: options.kernel,
      ...(options.bug === undefined ? {} : { bug: options.bug.id }),
      rules: Object.fromEntries(listRules(options.rules).map(({ rule, value }) => [rule, value])),
      seed: options.seed,
      workers: options.workers,
      mix: formatMix(options.mix),
      ...(options.input === undefined ? {} : { input: summariseInput(options.input, results) }),
      interrupted: this.interrupted,
      elapsedMs,
      ops: operationResults(machine.heap, section, options.workers),
      totalOps,
      opsPerSecond: elapsedMs === 0 ? 0 : Math.round((totalOps * 1000) / elapsedMs),
      locks: lockResults(machine.heap, section, options.workers),
      checks,
      injectedFailures: results.reduce((sum, { injectedFailures }) => sum + injectedFailures, 0),
      findings: this.findings.list(),
    };
  }

  private async startCpu(pool: Piscina, id: number, ports: MessagePort[], results: CpuResult[]): Promise<void> {
    const { options, machine } = this;
    const { port1, port2 } = new MessageChannel();
    ports.push(port1);
    port1.on('message', (message: ViolationMessage) => void this.found(message));
    const data: CpuData = {
      buffer: machine.heap.buffer,
      shape: machine.shape,
      id,
      seed: options.seed,
      rules: options.rules,
      mix: options.mix,
      program: options.input?.program ?? null,
      lockdep: options.lockdep,
      checks: options.checks,
      failAlloc: options.failAlloc,
      checkIntervalMs: CHECK_INTERVAL_MS,
      opLimit: Math.ceil(options.ops / options.workers),
      perturb: options.perturb,
      port: port2,
    };
    try {
      results.push((await pool.run(data, { transferList: [port2] })) as CpuResult);
    } catch (error) {
      await this.crashed(error);
    }
  }

  private async found({ violation, who, scene }: ViolationMessage): Promise<void> {
    await this.order.runExclusive(() => {
      this.findings.add(violation, who, scene);
      if (isFatal(violation.kind)) this.abort();
    });
  }

  private async crashed(error: unknown): Promise<void> {
    if (performance.now() > this.deadlineMs) return;
    const message = error instanceof Error ? error.message : String(error);
    await this.found({
      violation: {
        kind: 'crash',
        title: `a CPU's thread died: ${message}`,
        signature: `thread died: ${message.replace(/\d+/g, 'N')}`,
        evidence: [],
      },
      cpu: -1,
      who: [],
    });
  }

  /** One look: time over, somebody stuck, progress to tell. */
  private async look(): Promise<void> {
    const now = performance.now();
    const { heap } = this.machine;
    const elapsedMs = now - this.startMs;
    if (this.control.signal.aborted && !this.interrupted) {
      this.interrupted = true;
      this.finish(now);
    }
    if (elapsedMs >= this.options.durationMs) this.finish(now);
    const stuck = this.watchdog.look(now);
    if (stuck !== null && this.deadlineMs === Infinity) await this.found({ violation: stuck, cpu: -1, who: [] });
    const section = stressSection(heap, this.machine.shape);
    this.control.onProgress({
      elapsedMs,
      totalOps: totalOperations(heap, section, this.options.workers),
      findings: this.findings.count,
    });
  }

  /** Ends the run softly: what runs is finished, then everything is taken down. */
  private finish(now: number): void {
    if (this.endMs !== Infinity) return;
    this.endMs = now;
    this.deadlineMs = Math.min(this.deadlineMs, now + TAKE_DOWN_MS);
    requestStop(this.machine.heap);
  }

  /** Ends the run hard: every CPU unwinds at its next wait. */
  private abort(): void {
    const now = performance.now();
    this.endMs = Math.min(this.endMs, now);
    this.deadlineMs = Math.min(this.deadlineMs, now + UNWIND_MS);
    requestAbort(this.machine.heap);
    requestStop(this.machine.heap);
  }

  /** Resolves once the CPUs have had their time to end; those that run on are ended with their threads. */
  private async overdue(ended: AbortSignal): Promise<void> {
    while (!ended.aborted && performance.now() < this.deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Messages that were sent before a thread ended are still in their ports. */
  private async drain(ports: readonly MessagePort[]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    await this.order.waitForUnlock();
    for (const port of ports) port.close();
  }
}
