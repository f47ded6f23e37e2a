/** Every name of the rewritten text maps to the same name in the source, so stacks and breakpoints are right. */
import { SourceMap } from 'node:module';
import { parseSync, Visitor } from 'rolldown/utils';
import { afterAll, describe, expect, it } from 'vitest';
import { EXPRESSIONS, FUNCTIONS, STATEMENTS } from './cases.ts';
import { Project } from './harness.ts';
import type { Rewritten } from '../../src/instrument/plugin.ts';

const project = new Project();
afterAll(() => project.remove());

interface Name {
  readonly name: string;
  readonly line: number;
  readonly column: number;
}

/** Every identifier with its place (from 0). */
function namesOf(code: string): Name[] {
  const names: Name[] = [];
  const lines = [0, ...[...code.matchAll(/\r\n|\n|\r/g)].map((match) => match.index + match[0].length)];
  const add = (node: { name: string; start: number }): void => {
    const line = lines.findLastIndex((start) => start <= node.start);
    names.push({ name: node.name, line, column: node.start - lines[line] });
  };
  new Visitor({ Identifier: add, PrivateIdentifier: add }).visit(parseSync('a.ts', code, { lang: 'ts' }).program);
  return names;
}

function textAt(code: string, line: number, column: number, length: number): string {
  return code.split(/\r\n|\n|\r/)[line].slice(column, column + length);
}

function misplaced(source: string, { code, map }: Rewritten): string[] {
  const lookup = new SourceMap({ ...map, version: 3, file: 'case.ts', sourceRoot: '', sourcesContent: [source] });
  const own = new Set(['__S', '__P', 'S', 'P', 'budget', 'v', 'o', 'pause', 'hot', 'linger']);
  return namesOf(code)
    .filter(({ name }) => !own.has(name))
    .filter(({ name, line, column }) => {
      const entry = lookup.findEntry(line, column) as { originalLine: number; originalColumn: number };
      return !textAt(source, entry.originalLine, entry.originalColumn, name.length + 1).includes(name);
    })
    .map(({ name, line, column }) => `${name} at ${line + 1}:${column + 1}`);
}

describe.each(['explored', 'perturbed'] as const)('%s', (mode) => {
  it.each([...EXPRESSIONS, ...STATEMENTS, ...FUNCTIONS])('$name', ({ code }) => {
    const rewritten = project.rewrite('case.ts', code, mode)!;
    expect(misplaced(code, rewritten)).toEqual([]);
    expect(rewritten.map.sourcesContent).toEqual([code]);
  });

  it('lines stay lines', () => {
    for (const { code } of [...EXPRESSIONS, ...STATEMENTS, ...FUNCTIONS]) {
      const rewritten = project.rewrite('case.ts', code, mode)!;
      expect(rewritten.code.split('\n').length).toBe(code.split('\n').length + 2);
    }
  });
});
