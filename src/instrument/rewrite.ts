/**
 * The two rewritten forms of a file. Text is only ever added around what is there (and the arrow's `=>` taken out), so
 * lines stay lines and every name keeps its place in the source map.
 *
 *   explored   function f(): Sim<T>      ->  function* f(): Sim<T>
 *              f(x)             Sim      ->  (yield* f(x))
 *              load(heap, at)   Access   ->  ((S.v = load(heap, at)), --S.budget < 0 ? (yield S.v) : S.v)
 *   perturbed  load(heap, at)   Access   ->  ((P.v = load(heap, at)), --P.budget < 0 && P.pause(), P.v)
 *              store(heap, at)  Access   ->  store(heap, at), --P.budget < 0 ? P.pause(17) : P.hot === 17 && P.linger()
 *
 * The scheduler resumes a coroutine with the value it yielded, and nothing else runs between `S.v = ...` and the use of
 * S.v where the coroutine does not yield: so S may be shared by all of them. Values that are no numbers go through S.o.
 */

import type { ESTree } from 'rolldown/utils';
import MagicString from 'magic-string';
import { stableHash } from '../base/stableHash.ts';
import type { AccessValue } from './accessValue.ts';
import type { Plan } from './analyse.ts';
import { childrenOf, type FunctionNode, type Node } from './ast.ts';
import { hasOptionalLink } from './callRules.ts';
import type { SourceModule } from './sourceModule.ts';

export type Mode = 'explored' | 'perturbed';

/** Text before and after a call. */
interface Wrap {
  readonly before: string;
  readonly after: string;
}

/** Rewrites a module. @param runtime what the added import names */
export function rewrite(module: SourceModule, plan: Plan, mode: Mode, runtime: string): MagicString {
  const text = new MagicString(module.code);
  const parenthesised = startsWithParenthesis(plan, mode);
  const visit = (node: Node): void => {
    const wrap = node.type === 'CallExpression' ? wrapOf(plan, node, mode) : null;
    if (node.type === 'ExpressionStatement' && parenthesised.has(node.start)) text.appendRight(node.start, '0, ');
    if (wrap !== null) text.appendRight(node.start, wrap.before);
    if (mode === 'explored' && plan.simFunctions.has(node as FunctionNode)) {
      openGenerator(text, module.code, node as FunctionNode);
    }
    for (const child of childrenOf(node)) visit(child);
    if (mode === 'explored' && node.type === 'ArrowFunctionExpression' && plan.simFunctions.has(node)) {
      if (node.body.type !== 'BlockStatement') text.appendLeft(node.end, '); }');
    }
    if (wrap !== null) text.appendLeft(node.end, wrap.after);
  };
  visit(module.program);
  const name = mode === 'explored' ? 'S' : 'P';
  text.append(`\nimport { ${name} as __${name} } from ${JSON.stringify(runtime)};\n`);
  return text;
}

function wrapOf(plan: Plan, call: ESTree.CallExpression, mode: Mode): Wrap | null {
  const kind = plan.calls.get(call);
  if (kind === undefined || (kind === 'sim' && mode === 'perturbed')) return null;
  const alone = isWholeStatement(call);
  if (kind !== 'sim') return mode === 'explored' ? explored(kind, alone) : perturbed(kind, alone, siteOf(plan, call));
  // A skipped optional call gives undefined, and so does delegating to an empty list.
  const skippable = hasOptionalLink(call);
  const before = skippable ? 'yield* (' : 'yield* ';
  const after = skippable ? ' ?? [])' : '';
  return alone ? { before, after } : { before: `(${before}`, after: `${after})` };
}

function explored(value: AccessValue, alone: boolean): Wrap {
  if (value === 'none') {
    return alone
      ? { before: '', after: ', --__S.budget < 0 && (yield 0)' }
      : { before: '(', after: ', void (--__S.budget < 0 && (yield 0)))' };
  }
  const field = value === 'number' ? '__S.v' : '__S.o';
  return alone
    ? { before: `${field} = `, after: `, --__S.budget < 0 && (yield ${field})` }
    : { before: `((${field} = `, after: `), --__S.budget < 0 ? (yield ${field}) : ${field})` };
}

/** Number of a place in the source: positive, and the same at every build of the same file. */
function siteOf(plan: Plan, call: Node): number {
  return (Number.parseInt(stableHash(`${plan.file}:${call.start}`), 16) >>> 2) + 1;
}

function perturbed(value: AccessValue, alone: boolean, site: number): Wrap {
  const isStore = value === 'none';
  const pause = isStore
    ? `--__P.budget < 0 ? __P.pause(${site}) : __P.hot === ${site} && __P.linger()`
    : '--__P.budget < 0 && __P.pause()';
  if (alone) return { before: '', after: `, ${pause}` };
  if (value === 'none') return { before: '(', after: `, void (${pause}))` };
  const field = value === 'number' ? '__P.v' : '__P.o';
  return { before: `((${field} = `, after: `), ${pause}, ${field})` };
}

/** True if the call, and nothing but it, is a statement: its value goes nowhere. */
function isWholeStatement(call: Node): boolean {
  const { parent } = call;
  const end = parent?.type === 'ChainExpression' && parent.expression === call ? parent : call;
  return end.parent?.type === 'ExpressionStatement';
}

/**
 * Where a parenthesis is put in front. A statement that begins there without a semicolon before it would continue the
 * line above: a number in front ends that line.
 */
function startsWithParenthesis(plan: Plan, mode: Mode): Set<number> {
  const calls = [...plan.calls.keys()];
  return new Set(calls.filter((call) => wrapOf(plan, call, mode)?.before.startsWith('(')).map(({ start }) => start));
}

/** Makes a function a generator: by a star, or, for an arrow, by the word that takes one. */
function openGenerator(text: MagicString, code: string, node: FunctionNode): void {
  if (node.type === 'ArrowFunctionExpression') {
    const arrow = findArrow(code, (node.returnType as ESTree.TSTypeAnnotation).end);
    text.appendRight(node.start, 'function* ');
    if (node.body.type === 'BlockStatement') text.remove(arrow, arrow + 2);
    else text.overwrite(arrow, arrow + 2, '{ return (');
    return;
  }
  const { parent } = node;
  const isMethod = parent?.type === 'MethodDefinition' || (parent?.type === 'Property' && parent.method);
  if (isMethod) text.appendRight(parent.key.start, '*');
  else text.appendLeft(node.start + 'function'.length, '*');
}

/** Offset of `=>` behind a return type; only space and comments stand between. */
function findArrow(code: string, from: number): number {
  const gap = /(?:\s|\/\/[^\n\r]*|\/\*[^]*?\*\/)*/y;
  gap.lastIndex = from;
  gap.exec(code);
  return gap.lastIndex;
}
