/** The syntax tree as the pass sees it: the bundler's own parser, plus links to the parent of each node. */

import { parseSync, type ESTree } from 'rolldown/utils';
import { InstrumentError, positionAt } from './problem.ts';

export type Node = ESTree.Node;
/** Declarations, expressions, methods, overload signatures and arrows. */
export type FunctionNode = ESTree.Function | ESTree.ArrowFunctionExpression;

/**
 * Parses TypeScript. Parentheses stay in the tree, and every node gets its `parent`.
 * @throws InstrumentError with the parser's first complaint
 */
export function parse(path: string, code: string): ESTree.Program {
  const lang = /\.d\.[cm]?ts$/.test(path) ? 'dts' : path.endsWith('x') ? 'tsx' : 'ts';
  const { program, errors } = parseSync(path, code, { lang, sourceType: 'module', preserveParens: true });
  if (errors.length > 0) {
    const [error] = errors;
    const place = positionAt(code, error.labels[0]?.start ?? 0);
    throw new InstrumentError([{ rule: 'syntax', message: error.message, file: path, ...place }]);
  }
  link(program);
  return program;
}

/** The tree is walked several times, and looking for the children of a node is half of the work. */
type Linked = { linkedChildren?: readonly Node[] };

function link(node: Node): void {
  const children: Node[] = [];
  for (const value of Object.values(node) as unknown[]) {
    if (value === null || typeof value !== 'object') continue;
    if (Array.isArray(value)) for (const item of value) pushNode(children, item);
    else pushNode(children, value);
  }
  children.sort((a, b) => a.start - b.start);
  (node as Linked).linkedChildren = children;
  for (const child of children) {
    link(child);
    child.parent = node;
  }
}

/** Child nodes in the order of the source, types included. */
export function childrenOf(node: Node): readonly Node[] {
  return (node as Linked).linkedChildren ?? [];
}

function pushNode(children: Node[], value: unknown): void {
  if (value !== null && typeof value === 'object' && 'type' in value && 'start' in value) children.push(value as Node);
}

export function isFunction(node: Node): node is FunctionNode {
  switch (node.type) {
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
    case 'TSDeclareFunction':
    case 'TSEmptyBodyFunctionExpression':
      return true;
    default:
      return false;
  }
}

/** The innermost function around a node, the node itself excluded. */
export function enclosingFunction(node: Node): FunctionNode | null {
  for (let at = node.parent; at; at = at.parent) if (isFunction(at)) return at;
  return null;
}

/** Name of a property that is written down: `a.b`, `a['b']`, `{ b: 1 }`, `a.#b`; null for computed ones. */
export function propertyName(key: Node, computed: boolean): string | null {
  if (key.type === 'PrivateIdentifier') return `#${key.name}`;
  if (key.type === 'Identifier') return computed ? null : key.name;
  return key.type === 'Literal' && typeof key.value === 'string' ? key.value : null;
}

/** Name of a member of an interface, a class or an object literal; null when it has none that is written. */
export function memberName(node: Node): string | null {
  return 'key' in node && 'computed' in node ? propertyName(node.key, node.computed) : null;
}

/** Takes off what does not change a value: parentheses, `!`, `as`, `satisfies`, type arguments. */
export function bare(node: Node): Node {
  switch (node.type) {
    case 'ParenthesizedExpression':
    case 'TSNonNullExpression':
    case 'TSSatisfiesExpression':
    case 'TSInstantiationExpression':
    case 'ChainExpression':
      return bare(node.expression);
    default:
      return node;
  }
}

/** Text for messages: the source of a node, on one line and not too long. */
export function excerpt(code: string, node: Node): string {
  const text = code.slice(node.start, node.end).replace(/\s+/g, ' ');
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
