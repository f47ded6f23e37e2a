/** Where scheduling points are, and what they look like: this text is what everything explored runs on. */
import { afterAll, describe, expect, it } from 'vitest';
import { Project, countYields } from './harness.ts';

const HEAD = `import type { Access, Sim } from './sim.ts'; import { get, isSet, note, put, word, type Step } from './memory.ts';\n`;

const project = new Project();
afterAll(() => project.remove());

/** The rewritten text of a snippet, without its imports. */
function rewritten(code: string, mode: 'explored' | 'perturbed' = 'explored'): string {
  const lines = project.rewrite('case.ts', HEAD + code, mode)!.code.split('\n');
  return lines.slice(1, -2).join('\n');
}

describe('the text of a point', () => {
  it.each([
    ['a number', 'return get(1);', 'return ((__S.v = get(1)), --__S.budget < 0 ? (yield __S.v) : __S.v);'],
    ['something else', 'return isSet(1);', 'return ((__S.o = isSet(1)), --__S.budget < 0 ? (yield __S.o) : __S.o);'],
    ['nothing, as a value', 'return put(1, 2);', 'return (put(1, 2), void (--__S.budget < 0 && (yield 0)));'],
    ['nothing, as a statement', 'put(1, 2);', 'put(1, 2), --__S.budget < 0 && (yield 0);'],
    ['a number nobody takes', 'get(1);', '__S.v = get(1), --__S.budget < 0 && (yield __S.v);'],
    ['a Sim call', 'return main();', 'return (yield* main());'],
    ['a Sim call as a statement', 'main();', 'yield* main();'],
    ['an optional Sim call', 'step?.(1);', 'yield* (step?.(1) ?? []);'],
  ])('%s', (_, body, expected) => {
    const code = (text: string, star: string): string =>
      `export function${star} main(step?: Step): Sim<unknown> { ${text} }`;
    expect(rewritten(code(body, ''))).toBe(code(expected, '*'));
  });

  it.each([
    ['a number', 'return get(1);', 'return ((__P.v = get(1)), --__P.budget < 0 && __P.pause(), __P.v);'],
    [
      'nothing, as a value',
      'return put(1, 2);',
      'return (put(1, 2), void (--__P.budget < 0 ? __P.pause(SITE) : __P.hot === SITE && __P.linger()));',
    ],
    ['a store', 'put(1, 2);', 'put(1, 2), --__P.budget < 0 ? __P.pause(SITE) : __P.hot === SITE && __P.linger();'],
    ['a statement', 'get(1);', 'get(1), --__P.budget < 0 && __P.pause();'],
    ['a Sim call', 'get(1); return main();', 'get(1), --__P.budget < 0 && __P.pause(); return main();'],
  ])('perturbed: %s', (_, body, expected) => {
    const code = (text: string): string => `export function main(): Sim<unknown> { ${text} }`;
    const seen = rewritten(code(body), 'perturbed').replace(/\d{4,}/g, 'SITE');
    expect(seen).toBe(code(expected));
  });

  it('a brand is a number, also through generics and re-exports', () => {
    project.write(
      'brand.ts',
      `declare const b: unique symbol; export type Brand<T, N extends string> = T & { readonly [b]: N };`,
    );
    project.write(
      'ids.ts',
      `import type { Brand } from './brand.ts'; export type Vpn = Brand<number, 'Vpn'>; export type Name = Brand<string, 'N'>;`,
    );
    project.write(
      'layout.ts',
      `import type { Access } from './sim.ts'; import type { Vpn, Name } from './ids.ts'; export declare function start(at: number): Access<Vpn>; export declare function name(at: number): Access<Name>;`,
    );
    const code = `import { start, name } from './layout.ts'; export function main(): Sim<void> { note(start(1), name(2)); }`;
    expect(rewritten(code)).toContain('note(((__S.v = start(1))');
    expect(rewritten(code)).toContain('((__S.o = name(2))');
  });
});

describe('the number of points', () => {
  it.each([
    ['one behind each access', 'put(1, get(2)); return get(3);', 3],
    ['none behind plain calls', 'note(1); return Math.max(1, 2);', 0],
    ['none inside an Access function, one behind it', 'return both();', 1],
    ['skipped accesses have none', 'return isSet(0) || get(1);', 1],
    ['those of called Sim functions', 'return deep(2) + deep(1);', 5],
  ])('%s', (_, body, points) => {
    const code = `${HEAD}function both(): Access<number> { put(1, 2); return get(1); }
      function deep(n: number): Sim<number> { return n === 0 ? get(0) : get(n) + deep(n - 1); }
      export function main(): Sim<unknown> { ${body} }`;
    expect(countYields(project.rewrite('case.ts', code, 'explored')!.code)).toBe(points);
  });
});
