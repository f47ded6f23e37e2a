/** Rules on functions as values: a Sim function travels only through places whose types say so. */

import type { ESTree } from 'rolldown/utils';
import { isFunction, propertyName, type Node } from './ast.ts';
import type { FileContext } from './fileContext.ts';
import type { SourceModule } from './sourceModule.ts';
import { isMarked, type Kind } from './ty.ts';

/** Judges one expression as a value: is it a marked function where none is expected, or the other way round? */
export function checkValue(context: FileContext, node: Node): void {
  if (!isValue(node)) return;
  const { types, module } = context;
  const ty = types.expressionTy(node);
  if (ty.t === 'namespace') {
    checkNamespace(context, node, ty.module);
    return;
  }
  const kind = types.kind(ty);
  const expected = types.expectedTy(node, module);
  const expectedKind = expected === null ? 'none' : types.kind(expected);
  if (isMarked(kind) || kind === 'mixed') {
    if (kind === expectedKind || isHarmless(node) || isOwnDeclaration(node)) return;
    refuseValue(context, node, kind, expected === null);
  } else if (isMarked(expectedKind) && !isNothing(node)) {
    const wanted = expectedKind === 'sim' ? 'a Sim' : 'an Access';
    context.refuse('plain-value', node, `${context.text(node)} is not ${wanted} function, which is expected here`);
  }
}

function refuseValue(context: FileContext, node: Node, kind: Kind, noType: boolean): void {
  const what = `the ${kind === 'access' ? 'Access' : 'Sim'} function ${context.text(node)}`;
  const { parent } = outermost(node);
  const stored = parent?.type === 'VariableDeclarator' || parent?.type === 'AssignmentExpression';
  if (noType && stored) context.refuse('untyped-variable', node, `${what} in a variable without a function type`);
  else context.refuse('sim-value', node, `${what} goes where no such function is declared`);
}

/** An expression whose value goes somewhere: not a callee, not a target, not part of a type or a declaration. */
function isValue(node: Node): boolean {
  const parent = node.parent as Node;
  switch (node.type) {
    case 'Identifier':
      return isReference(node, parent) && !isCalleeOrTarget(node);
    case 'MemberExpression':
      return !isCalleeOrTarget(node);
    case 'CallExpression':
    case 'TSAsExpression':
    case 'TSTypeAssertion':
      return !isCalleeOrTarget(node);
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      return (
        parent.type !== 'MethodDefinition' && parent.type !== 'TSAbstractMethodDefinition' && !isCalleeOrTarget(node)
      );
    default:
      return false;
  }
}

/** An identifier that reads a variable: not a key, a label, a declared name or a type. */
function isReference(node: ESTree.Node, parent: Node): boolean {
  switch (parent.type) {
    case 'MemberExpression':
      return parent.object === node || parent.computed;
    case 'Property':
      return parent.parent?.type === 'ObjectExpression' && (parent.value === node || parent.computed);
    case 'PropertyDefinition':
    case 'AccessorProperty':
      return parent.value === node || (parent.computed && parent.key === node);
    case 'MethodDefinition':
      return parent.computed && parent.key === node;
    case 'VariableDeclarator':
      return parent.init === node;
    case 'AssignmentPattern':
      return parent.right === node;
    case 'ClassDeclaration':
    case 'ClassExpression':
      return parent.superClass === node;
    case 'ArrowFunctionExpression':
      return parent.body === node;
    case 'ForInStatement':
    case 'ForOfStatement':
      return parent.right === node;
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSNonNullExpression':
    case 'TSTypeAssertion':
    case 'TSInstantiationExpression':
      return true;
    case 'ArrayPattern':
    case 'RestElement':
    case 'CatchClause':
    case 'LabeledStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
    case 'MetaProperty':
    case 'ExportSpecifier':
    case 'ImportSpecifier':
    case 'ImportDefaultSpecifier':
    case 'ImportNamespaceSpecifier':
      return false;
    default:
      return !isFunction(parent) && !parent.type.startsWith('TS');
  }
}

/** Climbs through what hands a value on unchanged. */
function outermost(node: Node): Node {
  let at = node;
  for (;;) {
    const parent = at.parent as Node;
    switch (parent.type) {
      case 'ParenthesizedExpression':
      case 'TSNonNullExpression':
      case 'ChainExpression':
      case 'TSSatisfiesExpression':
      case 'TSInstantiationExpression':
      case 'LogicalExpression':
        at = parent;
        break;
      case 'ConditionalExpression':
        if (parent.test === at) return at;
        at = parent;
        break;
      default:
        return at;
    }
  }
}

/** `f` of `f()`, `(f)()`, `new f()`, of a template, or the left side of an assignment: other rules judge those. */
function isCalleeOrTarget(node: Node): boolean {
  const end = outermost(node);
  const { parent } = end;
  switch (parent?.type) {
    case 'CallExpression':
    case 'NewExpression':
      return parent.callee === end;
    case 'TaggedTemplateExpression':
      return parent.tag === end;
    case 'AssignmentExpression':
    case 'AssignmentPattern':
      return parent.left === end;
    case 'UpdateExpression':
      return true;
    case 'ForInStatement':
    case 'ForOfStatement':
      return parent.left === end;
    case 'ArrayPattern':
    case 'RestElement':
      return true;
    default:
      return false;
  }
}

/** Looked at, not handed on: comparisons, tests, `typeof`, `f.name`, `export default f`. */
function isHarmless(node: Node): boolean {
  const end = outermost(node);
  const parent = end.parent as Node;
  switch (parent.type) {
    case 'BinaryExpression':
      return ['===', '!==', '==', '!='].includes(parent.operator);
    case 'UnaryExpression':
      return parent.operator === '!' || parent.operator === 'typeof' || parent.operator === 'void';
    case 'ConditionalExpression':
    case 'IfStatement':
    case 'WhileStatement':
    case 'DoWhileStatement':
      return parent.test === end;
    case 'MemberExpression':
      return ['name', 'length'].includes(propertyName(parent.property, parent.computed) ?? '');
    case 'ExpressionStatement':
    case 'ExportDefaultDeclaration':
      return true;
    default:
      return false;
  }
}

/** `const f = (): Sim<void> => ...`: the function itself is the declaration. */
function isOwnDeclaration(node: Node): boolean {
  let at = node;
  while (at.parent?.type === 'ParenthesizedExpression') at = at.parent;
  if (!isFunction(node) || at.parent?.type !== 'VariableDeclarator') return false;
  const declaration = at.parent.parent;
  return !at.parent.id.typeAnnotation && declaration?.type === 'VariableDeclaration' && declaration.kind === 'const';
}

function isNothing(node: Node): boolean {
  return node.type === 'Identifier' && node.name === 'undefined';
}

function checkNamespace(context: FileContext, node: Node, module: SourceModule): void {
  const parent = node.parent as Node;
  if (parent.type === 'MemberExpression' && propertyName(parent.property, parent.computed) !== null) return;
  if (!exportsMarked(context, module)) return;
  context.refuse('namespace-value', node, `the namespace ${context.text(node)} is used as a value`);
}

/** True if a module exports any Sim or Access function, its re-exports included. */
export function exportsMarked(context: FileContext, module: SourceModule, seen = new Set<SourceModule>()): boolean {
  if (seen.has(module)) return false;
  seen.add(module);
  const { types, graph } = context;
  if ([...module.exports.keys()].some((name) => isMarked(types.kind(types.exportTy(module, name))))) return true;
  return module.stars.some((source) => {
    const target = graph.follow(module, source);
    return typeof target !== 'string' && exportsMarked(context, target, seen);
  });
}
