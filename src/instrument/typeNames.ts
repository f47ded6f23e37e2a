/** From a type's name to its declaration, through imports and re-exports; and generics bound to their arguments. */

import type { ESTree } from 'rolldown/utils';
import type { ModuleGraph } from './moduleGraph.ts';
import { Scope, type TypeBinding } from './scope.ts';
import type { SourceModule } from './sourceModule.ts';
import { UNKNOWN, type Ty } from './ty.ts';

/** A declaration and the scope it stands in; or: nothing of ours (`global`, `external`); or: not to be found. */
export type FoundType = { readonly binding: TypeBinding; readonly scope: Scope } | 'global' | 'external' | 'missing';

/** A node that may declare type parameters. */
type Generic = { readonly typeParameters?: ESTree.TSTypeParameterDeclaration | null };

/** The declaration that a type's name means. */
export function findType(graph: ModuleGraph, name: ESTree.TSTypeName | ESTree.Expression, scope: Scope): FoundType {
  if (name.type === 'Identifier') {
    const found = scope.type(name.name);
    if (found === undefined) return 'global';
    return found.binding.kind === 'import' ? findExportedType(graph, found.scope.module, found.binding) : found;
  }
  if (name.type !== 'TSQualifiedName' || name.left.type !== 'Identifier') return 'missing';
  const space = scope.value(name.left.name);
  if (space?.kind !== 'import' || space.imported !== '*') return 'missing';
  return findExportedType(graph, scope.module, { source: space.source, imported: name.right.name });
}

function findExportedType(
  graph: ModuleGraph,
  from: SourceModule,
  { source, imported }: { readonly source: string; readonly imported: string },
): FoundType {
  const target = graph.follow(from, source);
  if (typeof target === 'string') return target;
  const binding = target.exports.get(imported);
  if (binding?.kind === 'from') return findExportedType(graph, target, binding);
  if (binding?.kind === 'local') {
    const found = target.root.type(binding.name);
    if (found === undefined) return 'missing';
    return found.binding.kind === 'import' ? findExportedType(graph, target, found.binding) : found;
  }
  if (binding?.kind === 'node') {
    const { node } = binding;
    if (node.type === 'ClassDeclaration') return { binding: { kind: 'class', node }, scope: target.root };
    if (node.type !== 'TSInterfaceDeclaration') return 'missing';
    return { binding: { kind: 'interface', nodes: [node] }, scope: target.root };
  }
  for (const star of target.stars) {
    const found = findExportedType(graph, target, { source: star, imported });
    if (typeof found !== 'string') return found;
  }
  return 'missing';
}

/** `sim` or `access` for the declarations `type Sim<T> = T` and `type Access<T> = T`, wherever they are; else null. */
export function markerOf(alias: ESTree.TSTypeAliasDeclaration): 'sim' | 'access' | null {
  const { id, typeParameters, typeAnnotation } = alias;
  if (id.name !== 'Sim' && id.name !== 'Access') return null;
  if (typeParameters?.params.length !== 1 || typeAnnotation.type !== 'TSTypeReference') return null;
  const { typeName } = typeAnnotation;
  if (typeName.type !== 'Identifier' || typeName.name !== typeParameters.params[0].name.name) return null;
  return id.name === 'Sim' ? 'sim' : 'access';
}

/** A scope inside `scope` where the parameters of a generic declaration stand for the given arguments. */
export function bindArguments(declaration: Generic, scope: Scope, args: readonly Ty[]): Scope {
  const params = declaration.typeParameters?.params ?? [];
  if (params.length === 0) return scope;
  const inside = new Scope(scope, scope.module);
  params.forEach((param, index) => {
    const fallback: Ty = param.default === null ? UNKNOWN : { t: 'type', node: param.default, scope: inside };
    inside.types.set(param.name.name, { kind: 'bound', ty: args[index] ?? fallback });
  });
  return inside;
}

/** A scope inside `scope` that knows the type parameters of a function type. */
export function insideGeneric(node: Generic, scope: Scope): Scope {
  const params = node.typeParameters?.params ?? [];
  if (params.length === 0) return scope;
  const inside = new Scope(scope, scope.module);
  for (const param of params) inside.types.set(param.name.name, { kind: 'parameter', node: param });
  return inside;
}
