/** Rules on declarations: what a Sim or Access function may look like, and where the two markers may be written. */

import type { ESTree } from 'rolldown/utils';
import { enclosingFunction, isFunction, propertyName, type FunctionNode, type Node } from './ast.ts';
import { isBuiltinMethod } from './builtinTypes.ts';
import { placeOf, type FileContext } from './fileContext.ts';
import { declaredMembers } from './memberNames.ts';
import { findType } from './typeNames.ts';

/** Checks one function's form. @returns its kind */
export function checkFunction(context: FileContext, node: FunctionNode): 'sim' | 'access' | 'plain' {
  const kind = context.types.functionKind(node, context.module);
  if (kind === 'plain') return kind;
  if (node.async || node.generator) {
    context.refuse(
      'async-sim',
      node,
      `a function that returns ${markerName(kind)} is ${node.async ? 'async' : 'a generator'}`,
    );
  }
  const { parent } = node;
  if (parent?.type === 'MethodDefinition' || parent?.type === 'Property') {
    if (parent.kind !== 'method' && parent.kind !== 'init') {
      context.refuse('accessor-sim', parent, `a ${parent.kind}ter cannot return ${markerName(kind)}`);
    }
    if (propertyName(parent.key, parent.computed) === null) {
      context.refuse('sim-name', parent, `a ${markerName(kind)} method with a computed name`);
    }
  }
  return kind;
}

/** Overload signatures and implementation must agree. */
export function checkOverloads(context: FileContext, node: FunctionNode): void {
  if (node.type === 'ArrowFunctionExpression' || node.id === null) return;
  const binding = context.module.scopeOf(node.parent as Node).value(node.id.name);
  if (binding?.kind !== 'function' || binding.nodes[0] === node) return;
  const kind = context.types.functionKind(node, context.module);
  if (context.types.functionKind(binding.nodes[0], context.module) !== kind) {
    context.refuse('overload', node, `the overloads of '${node.id.name}' differ in kind`);
  }
}

/** `this` and its kin in a Sim arrow, also inside plain arrows of it. */
export function checkArrowContext(context: FileContext, node: Node, what: string): void {
  for (let fn = enclosingFunction(node); fn?.type === 'ArrowFunctionExpression'; fn = enclosingFunction(fn)) {
    if (leavesArrows(node, fn)) return;
    if (context.types.functionKind(fn, context.module) !== 'sim') continue;
    context.refuse('arrow-context', node, `${what} in a Sim arrow`);
    return;
  }
}

/** True if a class body lies between a node and an arrow around it: `this` is the class's there. */
function leavesArrows(node: Node, arrow: Node): boolean {
  for (let at = node.parent; at && at !== arrow; at = at.parent) {
    if (at.type === 'PropertyDefinition' || at.type === 'StaticBlock') return true;
  }
  return false;
}

/** A reference to Sim or Access stands where a return type stands, or names an alias. */
export function checkMarkerPosition(context: FileContext, node: ESTree.TSTypeReference): void {
  const { types, module, graph } = context;
  const scope = module.scopeOf(node);
  const found = findType(graph, node.typeName, scope);
  const name = node.typeName.type === 'Identifier' ? node.typeName.name : '';
  if (typeof found === 'string') {
    if (found === 'external' || (name !== 'Sim' && name !== 'Access')) return;
    context.refuse('marker-import', node, `the declaration of '${name}' cannot be found`);
    return;
  }
  if (found.binding.kind !== 'alias') return;
  const shape = types.shape({ t: 'type', node, scope });
  if (shape.s !== 'marker' || isReturnType(node)) return;
  context.refuse('marker-position', node, `${context.text(node)} is not a function's return type`);
}

function isReturnType(node: Node): boolean {
  let at = node;
  while (at.parent?.type === 'TSParenthesizedType') at = at.parent;
  const { parent } = at;
  if (parent?.type === 'TSTypeAliasDeclaration') return true;
  const owner = parent?.parent;
  return parent?.type === 'TSTypeAnnotation' && owner !== null && owner !== undefined && hasReturnType(owner, parent);
}

function hasReturnType(owner: Node, annotation: Node): boolean {
  return (isFunction(owner) || 'returnType' in owner) && owner.returnType === annotation;
}

/** Names of marked members: not taken by built-ins, and of one kind everywhere this file can see. */
export function checkMemberNames(context: FileContext): void {
  for (const { name, kind, node } of declaredMembers(context.module, context.types)) {
    if (kind !== 'plain' && isBuiltinMethod(name)) {
      context.refuse('builtin-name', node, `'${name}' is also a method of a built-in object`);
    }
    if (context.names.kind(name) === 'mixed') refuseMixedName(context, node, name);
  }
}

/** Says which declarations of a member name disagree. */
export function refuseMixedName(context: FileContext, node: Node, name: string): void {
  const uses = context.names.marked(name) ?? [];
  const kinds = uses.map((use) => `${use.kind} at ${placeOf(use.module, use.node)}`);
  context.refuse('name-conflict', node, `'${name}' is declared in several kinds: ${kinds.join(', ')}`);
}

function markerName(kind: 'sim' | 'access'): string {
  return kind === 'sim' ? 'Sim' : 'Access';
}
