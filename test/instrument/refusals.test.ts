/** What the pass refuses, each with its rule and its place. The arrow in a snippet points at the offending node. */
import { afterAll, describe, expect, it } from 'vitest';
import { InstrumentError, RULES, positionAt, type Rule } from '../../src/instrument/problem.ts';
import { Project } from './harness.ts';

const HEAD = `import type { Access, Sim } from './sim.ts';
import { add, cell, get, note, put, type Cell, type Step, type Visitor } from './memory.ts';
function sim(at: number): Sim<number> { return get(at); }
`;
const ARROW = '▸';

const project = new Project({
  'other.ts': `${HEAD}export { sim }; export const helper = (x: number) => x; export * from './memory.ts';`,
  'plain.ts': `export const value = 1; export default 2;`,
});
afterAll(() => project.remove());

interface Row {
  readonly rule: Rule;
  readonly code: string;
}

const row = (rule: Rule, code: string): Row => ({ rule, code });

const CALLS: readonly Row[] = [
  row('sim-in-plain', `export function f(): number { return ▸sim(1); }`),
  row('sim-in-plain', `export const f = (): void => { [1].forEach((x): void => { ▸sim(x); }); };`),
  row('sim-in-plain', `▸sim(1);`),
  row('sim-in-plain', `export const x = ▸sim(1);`),
  row('sim-in-plain', `export class A { constructor() { ▸sim(1); } }`),
  row('sim-in-plain', `export class A { set x(v: number) { ▸sim(v); } }`),
  row('sim-in-plain', `export function f(): Sim<void> { const inner = (): number => ▸sim(1); inner(); }`),
  row('sim-in-plain', `export async function f(): Promise<void> { ▸sim(1); }`),
  row('sim-in-plain', `export function f(v: Visitor): void { ▸v.visit(1); }`),
  row('access-in-plain', `export function f(): Sim<void> { sim(1); } export function g(): number { return ▸get(1); }`),
  row('access-in-plain', `export function f(c: Cell): number { return ▸c.peek(); }`),
  row('access-in-plain', `export function f(): Sim<void> { [1].map((x): number => ▸get(x)); }`),
  row('access-in-plain', `▸put(1, 2);`),
  row('sim-in-access', `export function f(): Access<number> { return ▸sim(1); }`),
  row('return-type', `export function f() { return ▸sim(1); }`),
  row('return-type', `export function f() { ▸put(1, 1); }`),
  row('return-type', `export function f(): Sim<void> { [1].map((x) => ▸sim(x)); }`),
  row('return-type', `import { helper } from './other.ts'; export function f(): Sim<void> { sim(1); ▸helper(1); }`),
  row('not-a-body', `export function f(x = ▸sim(1)): Sim<number> { return x; }`),
  row('not-a-body', `export function f({ x = ▸get(1) }: { x?: number }): Sim<number> { return x; }`),
  row('not-a-body', `export class A { x = ▸sim(1); }`),
  row('not-a-body', `export function f(): Sim<unknown> { return class { static x = ▸get(1); }; }`),
  row('not-a-body', `export class A { static { ▸sim(1); } }`),
  row('not-a-body', `export class A { [\`a\${▸get(1)}\`](): void {} }`),
  row('undecidable-call', `export function f(g: any): Sim<void> { sim(1); ▸g(); }`),
  row('undecidable-call', `export function f(g: Function): Sim<void> { sim(1); ▸g(); }`),
  row('undecidable-call', `export function f(list: any): Sim<void> { sim(1); ▸list[0](); }`),
  row('undecidable-call', `export function f(m: Map<string, Step>): Sim<void> { ▸m.get('a')!(1); }`),
  row('undecidable-call', `import { gone } from './gone.ts'; export function f(): Sim<void> { sim(1); ▸gone(); }`),
  row('undecidable-call', `import { gone } from './plain.ts'; export function f(): Sim<void> { sim(1); ▸gone(); }`),
  row('undecidable-call', `export function f(): Sim<void> { let g; g = note; sim(1); ▸g(); }`),
  row('mixed-call', `export function f(): Sim<void> { ▸(cell(1) ? sim : note)(1); }`),
  row('raw-access', `export function f(heap: Int32Array): Sim<number> { sim(1); return ▸heap[1]; }`),
  row('raw-access', `export function f(t: { heap: Int32Array }): Sim<void> { sim(1); ▸t.heap[1]++; }`),
  row('raw-access', `export function f(words: Int32Array): Sim<number> { sim(1); return ▸words[1]; }`),
  row('raw-access', `export function f(words: Int32Array): Sim<void> { sim(1); ▸Atomics.store(words, 0, 1); }`),
  row('optional-chain', `export function f(v: Visitor | null): Sim<unknown> { return ▸v?.visit(1).toFixed(); }`),
  row('optional-chain', `export function f(c: Cell | null): Sim<unknown> { return ▸c?.peek().toFixed(); }`),
  row('tagged-template', `export function f(): Sim<void> { ▸sim\`1\`; }`),
  row('new-sim', `export function f(): Sim<void> { ▸new sim(1); }`),
];

const VALUES: readonly Row[] = [
  row('sim-value', `export function f(): Sim<void> { [1].map(▸sim); }`),
  row('sim-value', `export function f(): Sim<void> { [1].forEach(▸(x: number): Sim<void> => { sim(x); }); }`),
  row('sim-value', `export function f(): Sim<void> { [1].map(▸get); }`),
  row(
    'sim-value',
    `export function g(cb: (x: number) => number): void { cb(1); } export function f(): Sim<void> { g(▸sim); }`,
  ),
  row('sim-value', `export function f(): Sim<unknown> { return ▸sim; }`),
  row('sim-value', `export function f(): Sim<void> { note(▸sim); }`),
  row('sim-value', `export const table = { a: ▸sim };`),
  row('sim-value', `export const list = [▸sim];`),
  row('sim-value', `export const bound = ▸sim.bind(null, 1);`),
  row('sim-value', `export const f = ▸sim as unknown;`),
  row('sim-value', `export class A { field: unknown = ▸sim; }`),
  row('sim-value', `export function f(): Sim<void> { new Map([['a', ▸sim]]); }`),
  row('sim-value', `export const step: (at: number) => Access<number> = ▸sim;`),
  row('sim-value', `export const f = (): Step => ▸get;`),
  row('untyped-variable', `export let f = ▸sim;`),
  row('untyped-variable', `export const f = ▸sim;`),
  row('untyped-variable', `export let f = ▸(): Sim<void> => { sim(1); };`),
  row('sim-value', `export function f(): Sim<void> { let g: any; g = ▸sim; }`),
  row('plain-value', `export const step: Step = ▸(at: number): number => at;`),
  row('plain-value', `export const step: Step = ▸(at) => at;`),
  row('plain-value', `export function g(s: Step): Sim<void> { s(1); } export function f(): Sim<void> { g(▸Number); }`),
  row('plain-value', `export const v: Visitor = { name: 'v', visit: ▸(at: number): number => at };`),
  row('sim-value', `export const v: Visitor = { name: 'v', visit: ▸get };`),
  row('plain-value', `export function f(g: any): Sim<void> { const s: Step = ▸g; s(1); }`),
  row('plain-value', `export const list: Step[] = [sim, ▸Number];`),
];

const DECLARATIONS: readonly Row[] = [
  row('async-sim', `export ▸async function f(): Sim<void> {}`),
  row('async-sim', `export const f = ▸async (): Access<void> => {};`),
  row('async-sim', `export ▸function* f(): Sim<void> { yield 1; }`),
  row('accessor-sim', `export class A { ▸get x(): Sim<number> { return 1; } }`),
  row('accessor-sim', `export const o = { ▸get x(): Access<number> { return 1; } };`),
  row('sim-name', `const key = 'k'; export class A { ▸[key](): Sim<void> { sim(1); } }`),
  row('sim-name', `const key = 'k'; export const o = { ▸[key](): Sim<void> { sim(1); } };`),
  row('arrow-context', `export class A { f = (): Sim<void> => { note(▸this); sim(1); }; }`),
  row(
    'arrow-context',
    `export class A { f(): Sim<void> { const g = (): Sim<number> => [1].map(() => ▸this).length; g(); } }`,
  ),
  row('arrow-context', `export function f(): Sim<void> { const g = (): Sim<number> => ▸arguments.length; g(); }`),
  row('arrow-context', `export function F(): Sim<void> { const g = (): Sim<void> => { note(▸new.target); }; g(); }`),
  row(
    'overload',
    `export function f(x: number): Sim<number>; export ▸function f(x: string): number; export function f(x: unknown): Sim<number> { return sim(Number(x)); }`,
  ),
  row('marker-position', `export const x: ▸Sim<number> = 1;`),
  row('marker-position', `export function f(x: ▸Access<number>): Sim<void> { note(x); }`),
  row('marker-position', `export function f(): ▸Sim<number> | undefined { return undefined; }`),
  row('marker-position', `export function f(): Promise<▸Sim<number>> { return Promise.resolve(1); }`),
  row('marker-position', `export function f(): Array<▸Sim<number>> { return []; }`),
  row('marker-position', `type Short = Sim<number>; export const list: ▸Short[] = [];`),
  row('builtin-name', `export interface A { ▸map(x: number): Sim<number> }`),
  row('builtin-name', `export class A { ▸get(x: number): Sim<number> { return x; } }`),
  row('builtin-name', `export const o = { ▸next(): Sim<void> {} };`),
  row('name-conflict', `export interface Other { ▸visit(at: number): number }`),
  row('name-conflict', `export const o = { ▸visit: (at: number): number => at };`),
  row('taken-name', `export function f(): Sim<void> { const ▸__S = 1; sim(__S); }`),
  row(
    'namespace-value',
    `import * as other from './other.ts'; note(▸other); export function f(): Sim<void> { other.sim(1); }`,
  ),
  row('namespace-value', `import * as other from './other.ts'; export const f = ▸other['s' + 'im'];`),
  row('sim-in-plain', `import * as other from './other.ts'; export function f(): void { ▸other.sim(1); }`),
  row('dynamic-import', `export async function f(): Promise<void> { await ▸import('./other.ts'); }`),
  row('dynamic-import', `export async function f(name: string): Promise<void> { await ▸import(name); }`),
];

/** Takes the arrow out. @returns the code, and where it was */
function unmark(code: string): { code: string; line: number; column: number } {
  const at = code.indexOf(ARROW);
  return { code: code.replace(ARROW, ''), ...positionAt(code, at) };
}

function problemsOf(code: string, mode: 'explored' | 'perturbed' = 'explored'): InstrumentError {
  try {
    project.rewrite('case.ts', code, mode);
  } catch (error) {
    if (error instanceof InstrumentError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe.each([
  { group: 'calls', rows: CALLS },
  { group: 'values', rows: VALUES },
  { group: 'declarations', rows: DECLARATIONS },
])('$group', ({ rows }) => {
  it.each(rows)('$rule: $code', ({ rule, code: marked }) => {
    const { code, line, column } = unmark(HEAD + marked);
    const { problems } = problemsOf(code);
    expect(problems.map((problem) => `${problem.rule} ${problem.line}:${problem.column}`)).toContain(
      `${rule} ${line}:${column}`,
    );
  });
});

it('each rule has a snippet that breaks it', () => {
  const tested = new Set([...CALLS, ...VALUES, ...DECLARATIONS].map(({ rule }) => rule));
  expect(Object.keys(RULES).filter((rule) => !tested.has(rule as Rule))).toEqual(['syntax', 'marker-import']);
});

it('a message names the file, the place, the rule and its reason', () => {
  const { message, loc } = problemsOf(`${HEAD}export function f(): number {\n  return sim(1);\n}\n`);
  expect(message).toMatch(
    /case\.ts:5:10: Sim call 'sim\(1\)' in a plain function \[sim-in-plain\]\n {4}only a Sim function/,
  );
  expect(loc).toMatchObject({ line: 5, column: 9 });
});

it('all problems of a file are reported together, in order', () => {
  const { problems } = problemsOf(
    `${HEAD}export function f(): number { put(1, 1); return sim(1); }\nexport let g = sim;`,
  );
  expect(problems.map(({ rule, line }) => [rule, line])).toEqual([
    ['access-in-plain', 4],
    ['sim-in-plain', 4],
    ['untyped-variable', 5],
  ]);
});

it('a file that does not parse is refused with its place', () => {
  const { problems } = problemsOf(`import type { Sim } from './sim.ts';\nexport function f(: Sim<void> {}`);
  expect(problems).toMatchObject([{ rule: 'syntax', line: 2 }]);
});

it('the module of the markers must be found', () => {
  const { problems } = problemsOf(`import type { Sim } from './gone.ts';\nexport function f(): Sim<void> {}`);
  expect(problems).toMatchObject([{ rule: 'marker-import', line: 2, column: 22 }]);
});

it('a Sim call in a file without Sim functions is refused in the explored build', () => {
  const host = `import { sim } from './other.ts';\nexport function run(): number {\n  return sim(1);\n}`;
  expect(problemsOf(host).problems).toMatchObject([{ rule: 'sim-in-plain', line: 3, column: 10 }]);
  expect(project.rewrite('case.ts', host, 'perturbed')).toBeNull();
});
