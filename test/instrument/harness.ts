/** Runs a snippet of source three ways: as it is, explored and perturbed, over a little memory that logs every access. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import { transformSync } from 'rolldown/utils';
import { mmstormInstrument, type InstrumentPlugin, type Rewritten } from '../../src/instrument/plugin.ts';
import { P, S, type Coroutine } from '../../src/instrument/runtime.ts';

const SIM = `export type Sim<T> = T;\nexport type Access<T> = T;\n`;

/** What snippets may import from './memory.ts'. */
const MEMORY = `
import type { Access, Sim } from './sim.ts';
export type Addr = number & { readonly addr: unique symbol };
export declare function get(at: number): Access<number>;
export declare function put(at: number, value: number): Access<void>;
export declare function add(at: number, value: number): Access<number>;
export declare function isSet(at: number): Access<boolean>;
export declare function word(at: number): Access<string | null>;
export declare function note(...values: unknown[]): void;
export interface Visitor { readonly name: string; visit: (at: number) => Sim<number>; leave?: (at: number) => Sim<void> }
export interface Cell { peek(): Access<number>; readonly at: number }
export type Step = (at: number) => Sim<number>;
export declare function cell(at: number): Cell;
`;

/** A folder with the modules that snippets import; \`files\` are added. */
export class Project {
  readonly root = mkdtempSync(join(tmpdir(), 'mmstorm-pass-'));
  private readonly plugins: Partial<Record<'explored' | 'perturbed', InstrumentPlugin>> = {};

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [name, code] of Object.entries({ 'sim.ts': SIM, 'memory.ts': MEMORY, ...files })) this.write(name, code);
  }

  write(name: string, code: string): string {
    const path = join(this.root, name);
    writeFileSync(path, code);
    return path;
  }

  /** Writes a file in a folder that may not be there yet. */
  writeDeep(name: string, code: string): string {
    mkdirSync(dirname(join(this.root, name)), { recursive: true });
    return this.write(name, code);
  }

  /** The rewritten file, or null when the pass leaves it alone. @throws InstrumentError */
  rewrite(name: string, code: string, mode: 'explored' | 'perturbed'): Rewritten | null {
    this.plugins[mode] ??= mmstormInstrument({ mode, root: this.root, runtime: './runtime.ts', twins: {} });
    return this.plugins[mode].transform.handler(code, this.write(name, code));
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** What happened: the accesses and notes in order, and what main gave. */
export interface Outcome {
  readonly log: readonly string[];
  readonly result: unknown;
}

type Main = () => unknown;

/** Makes `main` of a module, over fresh memory. */
function load(code: string, log: string[]): Main {
  const memory = [10, 11, 12, 13, 14, 15, 16, 17];
  const logged = <T>(text: string, value: T): T => {
    log.push(text);
    return value;
  };
  const get = (at: number) => logged(`get ${at}`, memory[at]);
  const environment = {
    get,
    put: (at: number, value: number) => void logged(`put ${at} ${value}`, (memory[at] = value)),
    add: (at: number, value: number) => logged(`add ${at} ${value}`, (memory[at] += value) - value),
    isSet: (at: number) => logged(`isSet ${at}`, memory[at] !== 0),
    word: (at: number) => logged(`word ${at}`, memory[at] === 0 ? null : `w${memory[at]}`),
    note: (...values: unknown[]) => void log.push(values.map(String).join(' ')),
    cell: (at: number) => ({ at, peek: () => get(at) }),
    S,
    P,
  };
  const { code: script, errors } = transformSync('case.ts', code, { lang: 'ts' });
  if (errors.length > 0) throw new Error(`${errors[0].message}\n${code}`);
  const body = script
    .replace(
      /import \{([^}]*)\} from "[^"]*";?/g,
      (_, names: string) => `const {${names.replace(/ as /g, ': ')}} = environment;`,
    )
    .replace(/export \{[^}]*\};?/g, '')
    .replace(/export default /g, '')
    .replace(/export /g, '');
  const make = compileFunction(`'use strict';\n${body}\n;return main;`, ['environment']) as (
    environment: unknown,
  ) => Main;
  return make(environment);
}

/** Runs `main` as an ordinary function. */
export function runPlain(code: string): Outcome {
  const log: string[] = [];
  const main = load(code, log);
  return { log, result: attempt(main) };
}

/** Runs `main` as a coroutine that may pass `budget` points between two resumes. */
export function runExplored(code: string, budget: number): Outcome {
  const log: string[] = [];
  const main = load(code, log);
  return { log, result: attempt(() => drive([main() as Coroutine], budget)[0]) };
}

/** Times that `main` yields when it may pass no point. */
export function countYields(code: string): number {
  const coroutine = load(code, [])() as Coroutine;
  let yields = -1;
  let result: IteratorResult<unknown>;
  let value: unknown;
  do {
    S.budget = 0;
    result = coroutine.next(value);
    value = result.value;
    yields++;
  } while (result.done !== true);
  return yields;
}

/** Runs the same `main` as several coroutines in turn: each over memory of its own, all sharing S. */
export function runTogether(code: string, copies: number): Outcome[] {
  const logs = Array.from({ length: copies }, (): string[] => []);
  const mains = logs.map((log) => load(code, log)() as Coroutine);
  const results = drive(mains, 0);
  return logs.map((log, index) => ({ log, result: results[index] }));
}

function drive(coroutines: readonly Coroutine[], budget: number): unknown[] {
  const values: unknown[] = coroutines.map(() => undefined);
  const done = coroutines.map(() => false);
  while (done.includes(false)) {
    coroutines.forEach((coroutine, index) => {
      if (done[index]) return;
      S.budget = budget;
      const result = coroutine.next(values[index]);
      values[index] = result.value;
      done[index] = result.done === true;
    });
  }
  return values;
}

function attempt(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return `threw ${String(error)}`;
  }
}
