/** Lexical scopes of one module: what each name stands for, values and types apart. */

import type { ESTree } from 'rolldown/utils';
import { childrenOf, isFunction, type FunctionNode, type Node } from './ast.ts';
import type { SourceModule } from './sourceModule.ts';
import type { Ty } from './ty.ts';

/** A name that another module exports. `imported` is `*` for the whole namespace. */
export interface ImportBinding {
  readonly kind: 'import';
  readonly source: string;
  readonly imported: string;
}

/** What a name stands for where values stand. `pattern`: a variable, a parameter, a catch clause. */
export type ValueBinding =
  | ImportBinding
  | { readonly kind: 'function'; readonly nodes: FunctionNode[] }
  | { readonly kind: 'class'; readonly node: ESTree.Class }
  | { readonly kind: 'pattern'; readonly node: ESTree.BindingIdentifier }
  | { readonly kind: 'opaque' };

/** What a name stands for where types stand. `bound`: a type parameter with its argument. */
export type TypeBinding =
  | ImportBinding
  | { readonly kind: 'alias'; readonly node: ESTree.TSTypeAliasDeclaration }
  | { readonly kind: 'interface'; readonly nodes: ESTree.TSInterfaceDeclaration[] }
  | { readonly kind: 'class'; readonly node: ESTree.Class }
  | { readonly kind: 'parameter'; readonly node: ESTree.TSTypeParameter }
  | { readonly kind: 'bound'; readonly ty: Ty }
  | { readonly kind: 'opaque' };

export class Scope {
  readonly parent: Scope | null;
  readonly module: SourceModule;
  readonly values = new Map<string, ValueBinding>();
  readonly types = new Map<string, TypeBinding>();

  constructor(parent: Scope | null, module: SourceModule) {
    this.parent = parent;
    this.module = module;
  }

  /** The binding of a name as seen from here; undefined for globals. */
  value(name: string): ValueBinding | undefined {
    return this.values.get(name) ?? this.parent?.value(name);
  }

  /** The binding of a type name as seen from here, and the scope that has it. */
  type(name: string): { binding: TypeBinding; scope: Scope } | undefined {
    const binding = this.types.get(name);
    return binding === undefined ? this.parent?.type(name) : { binding, scope: this };
  }
}

/** Builds all scopes of a module. @returns scopes by the node that opens them; the program's is the outermost */
export function buildScopes(module: SourceModule): Map<Node, Scope> {
  const scopes = new Map<Node, Scope>();
  const root = new Scope(null, module);
  scopes.set(module.program, root);
  for (const child of childrenOf(module.program)) visit(child, root, root, scopes);
  return scopes;
}

/** @param hoist where `var` goes */
function visit(node: Node, outer: Scope, hoist: Scope, scopes: Map<Node, Scope>): void {
  declare(node, outer, hoist);
  let scope = outer;
  let inner = hoist;
  if (opensScope(node)) {
    scope = new Scope(outer, outer.module);
    scopes.set(node, scope);
    declareInside(node, scope);
    if (isFunction(node) || node.type === 'StaticBlock') inner = scope;
  }
  for (const child of childrenOf(node)) visit(child, scope, inner, scopes);
}

function opensScope(node: Node): boolean {
  switch (node.type) {
    case 'BlockStatement':
    case 'ForStatement':
    case 'ForInStatement':
    case 'ForOfStatement':
    case 'SwitchStatement':
    case 'CatchClause':
    case 'StaticBlock':
    case 'ClassDeclaration':
    case 'ClassExpression':
    case 'TSModuleBlock':
    case 'TSInterfaceDeclaration':
    case 'TSTypeAliasDeclaration':
    case 'TSFunctionType':
    case 'TSMethodSignature':
    case 'TSCallSignatureDeclaration':
    case 'TSMappedType':
      return true;
    default:
      return isFunction(node);
  }
}

/** Names that `node` declares in the scope it stands in. */
function declare(node: Node, scope: Scope, hoist: Scope): void {
  switch (node.type) {
    case 'FunctionDeclaration':
    case 'TSDeclareFunction':
      if (node.id !== null) addFunction(scope, node.id.name, node);
      break;
    case 'ClassDeclaration':
      if (node.id !== null) {
        scope.values.set(node.id.name, { kind: 'class', node });
        scope.types.set(node.id.name, { kind: 'class', node });
      }
      break;
    case 'VariableDeclaration':
      for (const { id } of node.declarations) declarePattern(id, node.kind === 'var' ? hoist : scope);
      break;
    case 'ImportDeclaration':
      declareImports(node, scope);
      break;
    case 'TSTypeAliasDeclaration':
      scope.types.set(node.id.name, { kind: 'alias', node });
      break;
    case 'TSInterfaceDeclaration':
      addInterface(scope, node);
      break;
    case 'TSEnumDeclaration':
      scope.values.set(node.id.name, { kind: 'opaque' });
      scope.types.set(node.id.name, { kind: 'opaque' });
      break;
    case 'TSModuleDeclaration':
    case 'TSImportEqualsDeclaration':
      if (node.id.type === 'Identifier') scope.values.set(node.id.name, { kind: 'opaque' });
      break;
    default:
      break;
  }
}

/** Names that `node` declares in the scope it opens: parameters, type parameters, its own name. */
function declareInside(node: Node, scope: Scope): void {
  if ('typeParameters' in node && node.typeParameters) {
    for (const parameter of node.typeParameters.params) {
      scope.types.set(parameter.name.name, { kind: 'parameter', node: parameter });
    }
  }
  if (node.type === 'FunctionExpression' && node.id !== null) addFunction(scope, node.id.name, node);
  if (node.type === 'ClassExpression' && node.id !== null) scope.values.set(node.id.name, { kind: 'class', node });
  if (node.type === 'CatchClause' && node.param !== null) declarePattern(node.param, scope);
  if (node.type === 'TSMappedType') scope.types.set(node.key.name, { kind: 'opaque' });
  if (isFunction(node)) for (const parameter of node.params) declarePattern(parameter, scope);
}

function addFunction(scope: Scope, name: string, node: FunctionNode): void {
  const known = scope.values.get(name);
  if (known?.kind === 'function') known.nodes.push(node);
  else scope.values.set(name, { kind: 'function', nodes: [node] });
}

function addInterface(scope: Scope, node: ESTree.TSInterfaceDeclaration): void {
  const known = scope.types.get(node.id.name);
  if (known?.kind === 'interface') known.nodes.push(node);
  else scope.types.set(node.id.name, { kind: 'interface', nodes: [node] });
}

function declarePattern(pattern: Node | null, scope: Scope): void {
  switch (pattern?.type) {
    case 'Identifier':
      scope.values.set(pattern.name, { kind: 'pattern', node: pattern });
      break;
    case 'ObjectPattern':
      for (const property of pattern.properties) {
        declarePattern(property.type === 'RestElement' ? property.argument : property.value, scope);
      }
      break;
    case 'ArrayPattern':
      for (const element of pattern.elements) declarePattern(element, scope);
      break;
    case 'AssignmentPattern':
      declarePattern(pattern.left, scope);
      break;
    case 'RestElement':
      declarePattern(pattern.argument, scope);
      break;
    case 'TSParameterProperty':
      declarePattern(pattern.parameter, scope);
      break;
    default:
      break;
  }
}

function declareImports(node: ESTree.ImportDeclaration, scope: Scope): void {
  for (const specifier of node.specifiers) {
    const binding: ImportBinding = { kind: 'import', source: node.source.value, imported: importedName(specifier) };
    scope.values.set(specifier.local.name, binding);
    scope.types.set(specifier.local.name, binding);
  }
}

function importedName(specifier: ESTree.ImportDeclarationSpecifier): string {
  if (specifier.type === 'ImportNamespaceSpecifier') return '*';
  if (specifier.type === 'ImportDefaultSpecifier') return 'default';
  return specifier.imported.type === 'Literal' ? specifier.imported.value : specifier.imported.name;
}
