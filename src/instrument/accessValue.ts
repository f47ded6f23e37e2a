/**
 * What an Access function gives: nothing, a number, or something else. The runtime keeps numbers and the rest in fields
 * of their own, so that each field always holds one kind of value and stays fast.
 */

import type { ESTree } from 'rolldown/utils';
import type { ModuleGraph } from './moduleGraph.ts';
import type { Scope } from './scope.ts';
import type { Ty } from './ty.ts';
import { bindArguments, findType } from './typeNames.ts';

export type AccessValue = 'none' | 'number' | 'other';

const MAX_DEPTH = 20;

/** Class of the values of a written type; `other` when in doubt. */
export function accessValue(ty: Ty, graph: ModuleGraph, depth = 0): AccessValue {
  if (ty.t !== 'type' || depth > MAX_DEPTH) return 'other';
  const { node, scope } = ty;
  const inner = (type: ESTree.TSType, inside: Scope): AccessValue =>
    accessValue({ t: 'type', node: type, scope: inside }, graph, depth + 1);
  switch (node.type) {
    case 'TSVoidKeyword':
    case 'TSUndefinedKeyword':
      return 'none';
    case 'TSNumberKeyword':
      return 'number';
    case 'TSLiteralType':
      return node.literal.type === 'Literal' && typeof node.literal.value === 'number' ? 'number' : 'other';
    case 'TSParenthesizedType':
      return inner(node.typeAnnotation, scope);
    case 'TSIntersectionType': // a brand: number & { ... }
      return node.types.some((type) => inner(type, scope) === 'number') ? 'number' : 'other';
    case 'TSUnionType':
      return node.types.every((type) => inner(type, scope) === 'number') ? 'number' : 'other';
    case 'TSTypeReference': {
      const found = findType(graph, node.typeName, scope);
      if (typeof found === 'string') return 'other';
      if (found.binding.kind === 'bound') return accessValue(found.binding.ty, graph, depth + 1);
      if (found.binding.kind !== 'alias') return 'other';
      const args = (node.typeArguments?.params ?? []).map((type): Ty => ({ t: 'type', node: type, scope }));
      return inner(found.binding.node.typeAnnotation, bindArguments(found.binding.node, found.scope, args));
    }
    default:
      return 'other';
  }
}
