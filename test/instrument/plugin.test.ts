/** The plugin around the pass: which files it touches, what it reads besides, and that a bundler takes it. */
import { join } from 'node:path';
import { build } from 'rolldown';
import { afterAll, describe, expect, it } from 'vitest';
import { mmstormInstrument, type InstrumentOptions } from '../../src/instrument/plugin.ts';
import { Project } from './harness.ts';

const SIM = `import type { Access, Sim } from './sim.ts';\n`;

const projects: Project[] = [];
afterAll(() => projects.forEach((project) => project.remove()));

function makeProject(files: Readonly<Record<string, string>>): Project {
  const project = new Project(files);
  projects.push(project);
  return project;
}

function transform(project: Project, name: string, code: string, options: Partial<InstrumentOptions> = {}) {
  const plugin = mmstormInstrument({ mode: 'explored', root: project.root, ...options });
  return plugin.transform.handler(code, project.write(name, code));
}

const SIM_FUNCTION = `${SIM}import { get } from './memory.ts';\nexport function f(): Sim<number> { return get(1); }\n`;

describe('which files', () => {
  const project = makeProject({});

  it('files with Sim functions', () => {
    expect(transform(project, 'a.ts', SIM_FUNCTION)?.code).toContain('function* f');
    expect(transform(project, 'a.ts', `import { get } from './memory.ts';\nexport const x = get(1);`)).toBeNull();
  });

  it('queries of the host do not matter', () => {
    const path = project.write('b.ts', SIM_FUNCTION);
    const plugin = mmstormInstrument({ mode: 'explored', root: project.root });
    expect(plugin.transform.handler(SIM_FUNCTION, `${path}?v=1`)?.code).toContain('function* f');
  });

  it('a Sim function by an alias of another file', () => {
    project.write('alias.ts', `${SIM}export type Task = Sim<void>;`);
    const code = `import type { Task } from './alias.ts';\nimport { put } from './memory.ts';\nexport const f = (): Task => put(1, 1);`;
    expect(transform(project, 'c.ts', code)?.code).toContain('function* ()');
  });

  it('only those named by sources, never packages or build output', () => {
    expect(transform(project, 'd.ts', SIM_FUNCTION, { sources: ['src', 'd.ts'] })).not.toBeNull();
    expect(transform(project, 'd.ts', SIM_FUNCTION, { sources: ['src'] })).toBeNull();
    const plugin = mmstormInstrument({ mode: 'explored', root: project.root });
    for (const folder of ['node_modules/x', 'dist', '..']) {
      expect(plugin.transform.handler(SIM_FUNCTION, join(project.root, folder, 'e.ts'))).toBeNull();
    }
  });

  it('a Sim function without any call becomes a generator too', () => {
    expect(transform(project, 'f.ts', `${SIM}export function f(): Sim<void> {}`)?.code).toContain('function* f');
    expect(transform(project, 'f.ts', `${SIM}export function f(): Sim<void> {}`, { mode: 'perturbed' })).toBeNull();
  });
});

describe('other modules', () => {
  it('re-exports, renamed, starred, defaulted and as namespaces', () => {
    const project = makeProject({
      'deep.ts': `${SIM_FUNCTION}export default function g(): Sim<number> { return get(2); }\nexport const h = (): Sim<number> => get(3);`,
      'star.ts': `export * from './deep.ts'; export { default as g } from './deep.ts'; export * as space from './deep.ts';`,
      'named.ts': `import { f } from './star.ts'; export { f as renamed }; export { h as again } from './star.ts';`,
    });
    const code = `${SIM}import { renamed, again } from './named.ts'; import { g, space } from './star.ts'; import whole, * as all from './deep.ts';
      export function main(): Sim<void> { renamed(); again(); g(); space.f(); whole(); all.h(); all.default(); }`;
    expect(transform(project, 'main.ts', code)?.code).toContain(
      'yield* renamed(); yield* again(); yield* g(); yield* space.f(); yield* whole(); yield* all.h(); yield* all.default();',
    );
  });

  it('a changed file is read again', () => {
    const project = makeProject({ 'dep.ts': `export const f = (): number => 1;` });
    const plugin = mmstormInstrument({ mode: 'explored', root: project.root, runtime: 'r' });
    const code = `${SIM}import { f } from './dep.ts';\nexport function main(): Sim<number> { return f(); }`;
    const path = project.write('main.ts', code);
    expect(plugin.transform.handler(code, path)?.code).toContain('return f();');
    project.write('dep.ts', `${SIM}export const f = (): Sim<number> => 1; // now it may be preempted`);
    expect(plugin.transform.handler(code, path)?.code).toContain('return (yield* f());');
  });

  it('circular imports and types', () => {
    const project = makeProject({
      'a.ts': `${SIM}import type { B } from './b.ts'; export interface A extends B { go(): Sim<void>; next?: A } export type Loop = Loop2; `,
      'b.ts': `import type { A, Loop } from './a.ts'; export interface B { a: A; loop?: Loop } export type Loop2 = Loop;`,
    });
    const code = `${SIM}import type { A } from './a.ts';\nexport function main(x: A): Sim<void> { x.go(); x.a.go(); x.next?.go(); }`;
    expect(transform(project, 'main.ts', code)?.code).toContain(
      'yield* x.go(); yield* x.a.go(); yield* (x.next?.go() ?? []);',
    );
  });

  it('the declarations of an installed package', () => {
    const project = makeProject({});
    project.writeDeep(
      'node_modules/mmstorm/package.json',
      JSON.stringify({ exports: { '.': { types: './index.d.ts' } } }),
    );
    project.writeDeep(
      'node_modules/mmstorm/index.d.ts',
      `export type Sim<T> = T;\nexport type Access<T> = T;\nexport declare function load(at: number): Access<number>;`,
    );
    const code = `import { load, type Sim } from 'mmstorm';\nexport function main(): Sim<number> { return load(1); }`;
    const { code: out } = transform(project, 'main.ts', code)!;
    expect(out).toContain('__S.v = load(1)');
    expect(out).toContain('from "mmstorm/instrument/runtime"');
  });
});

describe('in a bundler', () => {
  it('rolldown builds a program that yields, with the twin in place of the platform', async () => {
    const project = makeProject({
      'platform.ts': `${SIM}export function wait(): Sim<number> { return 1; }\n`,
      'platform.explored.ts': [
        `import * as plain from './platform.ts';`,
        `export function* wait(): Generator<number, number> { yield 99; return plain.wait() + 1; }`,
      ].join('\n'),
      'runtime.ts': `export const S = { budget: 0, v: 0, o: undefined };\n`,
      'main.ts': `${SIM}import { wait } from './platform.ts';\nexport function main(): Sim<number> { return wait() + wait(); }\n`,
    });
    const plugin = mmstormInstrument({
      mode: 'explored',
      root: project.root,
      runtime: './runtime.ts',
      twins: { 'platform.ts': 'platform.explored.ts' },
    });
    const input = join(project.root, 'main.ts');
    const { output } = await build({ input, plugins: [plugin], write: false, output: { sourcemap: true } });
    const [{ code, map }] = output;
    expect(map?.sources.some((source) => source.endsWith('main.ts'))).toBe(true);
    const { main } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as { main: () => Generator };
    expect([...main()]).toEqual([99, 99]);
    // The twin itself reaches the module whose place it takes.
    const run = main();
    run.next();
    run.next();
    expect(run.next(2)).toEqual({ value: 4, done: true });
  });

  it('a refusal ends the build and shows its place', async () => {
    const project = makeProject({ 'main.ts': `${SIM_FUNCTION}export const x = f();\n` });
    const plugin = mmstormInstrument({ mode: 'explored', root: project.root });
    const building = build({
      input: join(project.root, 'main.ts'),
      plugins: [plugin],
      write: false,
      logLevel: 'silent',
    });
    await expect(building).rejects.toThrow(/main\.ts:4:18: Sim call 'f\(\)' at the top of the module \[sim-in-plain\]/);
  });
});
