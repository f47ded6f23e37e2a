/** What may not be called where: sources of chance in simulated code, raw memory outside the layers that own it. */
import type { ESTree } from 'rolldown/utils';
import { it } from 'vitest';
import { expectNone } from './expectNone.ts';
import { position, productFiles, visit, type SourceFile } from './sourceTree.ts';

const SIMULATED = ['arena', 'layout', 'rules', 'cpu', 'locks', 'mm', 'lockdep', 'check'].map((name) => `src/${name}/`);
const UNREPEATABLE = ['Math.random', 'Date.now', 'performance.now', 'process.hrtime'];
/** The only place where simulated code meets the real machine. */
const PLATFORM = 'src/cpu/platform.ts';
const ACCESSORS_ONLY = /^src\/(locks|mm|conform|cpu\/(?!platform))/;

/** `name.property` of a member expression, or an empty string. */
function dotted(node: ESTree.MemberExpression): string {
  const { object, property } = node;
  return object.type === 'Identifier' && property.type === 'Identifier' ? `${object.name}.${property.name}` : '';
}

function membersWhere(file: SourceFile, isBanned: (node: ESTree.MemberExpression) => boolean): string[] {
  const found: string[] = [];
  visit(file, {
    MemberExpression: (node) => {
      if (isBanned(node)) found.push(`${position(file, node.start)} ${file.text.slice(node.start, node.end)}`);
    },
  });
  return found;
}

/** `heap[...]` or `x.heap[...]`. */
function indexesHeap(node: ESTree.MemberExpression): boolean {
  const { object } = node;
  const name = object.type === 'MemberExpression' ? object.property : object;
  return node.computed && name.type === 'Identifier' && name.name === 'heap';
}

function builtAssertMessages(file: SourceFile): string[] {
  const found: string[] = [];
  visit(file, {
    CallExpression: ({ callee, arguments: args, start }) => {
      if (callee.type !== 'Identifier' || callee.name !== 'assert') return;
      if (args.length !== 2 || args[1].type !== 'Literal') found.push(position(file, start));
    },
  });
  return found;
}

it('simulated code is deterministic: no clock and no chance of its own', () => {
  const files = productFiles().filter(({ path }) => path !== PLATFORM && SIMULATED.some((dir) => path.startsWith(dir)));
  expectNone(files.flatMap((file) => membersWhere(file, (node) => UNREPEATABLE.includes(dotted(node)))));
});

it('no randomness without a seed anywhere', () => {
  const found = productFiles().flatMap((file) => membersWhere(file, (node) => dotted(node) === 'Math.random'));
  expectNone(found);
});

it('nothing prints but the command line', () => {
  const files = productFiles().filter(({ path }) => path.startsWith('src/') && !path.startsWith('src/cli/'));
  const prints = /^(console\.\w+|process\.(stdout|stderr))$/;
  expectNone(files.flatMap((file) => membersWhere(file, (node) => prints.test(dotted(node)))));
});

it('simulated code reaches the heap through accessors only', () => {
  const files = productFiles().filter(({ path }) => ACCESSORS_ONLY.test(path));
  expectNone(files.flatMap((file) => membersWhere(file, indexesHeap)));
});

it('simulated code uses Atomics through accessors only', () => {
  const files = productFiles().filter(({ path }) => ACCESSORS_ONLY.test(path));
  expectNone(files.flatMap((file) => membersWhere(file, (node) => dotted(node).startsWith('Atomics.'))));
});

it('assert has a constant message: a built one costs on every call', () => {
  expectNone(productFiles().flatMap(builtAssertMessages));
});
