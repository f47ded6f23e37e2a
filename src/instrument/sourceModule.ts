/** One parsed source file: its tree, its scopes, what it imports and exports. */

import type { ESTree } from 'rolldown/utils';
import { parse, type Node } from './ast.ts';
import { buildScopes, type Scope } from './scope.ts';

/** Where an exported name comes from: a name of this module, a name of another, or an expression (`export default`). */
export type ExportBinding =
  | { readonly kind: 'local'; readonly name: string }
  | { readonly kind: 'from'; readonly source: string; readonly imported: string }
  | { readonly kind: 'node'; readonly node: Node };

export class SourceModule {
  readonly path: string;
  readonly code: string;
  readonly program: ESTree.Program;
  readonly exports = new Map<string, ExportBinding>();
  /** Sources of `export * from`. */
  readonly stars: string[] = [];
  /** Every module this one names statically, types included, in order and once each. */
  readonly sources: string[];
  private readonly scopes: Map<Node, Scope>;

  /** @throws InstrumentError when the code does not parse */
  constructor(path: string, code: string) {
    this.path = path;
    this.code = code;
    this.program = parse(path, code);
    const sources = new Set<string>();
    for (const statement of this.program.body) this.collect(statement, sources);
    this.sources = [...sources];
    this.scopes = buildScopes(this);
  }

  /** The innermost scope a node stands in; for a node that opens a scope, that scope. */
  scopeOf(node: Node): Scope {
    let at = node;
    for (;;) {
      const scope = this.scopes.get(at);
      if (scope !== undefined) return scope;
      at = at.parent as Node; // the program has a scope
    }
  }

  get root(): Scope {
    return this.scopes.get(this.program) as Scope;
  }

  private collect(statement: Node, sources: Set<string>): void {
    switch (statement.type) {
      case 'ImportDeclaration':
        sources.add(statement.source.value);
        break;
      case 'ExportAllDeclaration': {
        const { source, exported } = statement;
        sources.add(source.value);
        if (exported === null) this.stars.push(source.value);
        else this.exports.set(nameOf(exported), { kind: 'from', source: source.value, imported: '*' });
        break;
      }
      case 'ExportNamedDeclaration':
        if (statement.source !== null) sources.add(statement.source.value);
        this.collectNamed(statement);
        break;
      case 'ExportDefaultDeclaration':
        this.exports.set('default', { kind: 'node', node: statement.declaration });
        break;
      default:
        break;
    }
  }

  private collectNamed(statement: ESTree.ExportNamedDeclaration): void {
    const { source, specifiers, declaration } = statement;
    for (const { local, exported } of specifiers) {
      const binding: ExportBinding =
        source === null
          ? { kind: 'local', name: nameOf(local) }
          : { kind: 'from', source: source.value, imported: nameOf(local) };
      this.exports.set(nameOf(exported), binding);
    }
    for (const name of declaration === null ? [] : declaredNames(declaration)) {
      this.exports.set(name, { kind: 'local', name });
    }
  }
}

function nameOf(node: ESTree.ModuleExportName): string {
  return node.type === 'Literal' ? node.value : node.name;
}

function declaredNames(declaration: ESTree.Declaration): string[] {
  if (declaration.type === 'VariableDeclaration') return declaration.declarations.flatMap(({ id }) => patternNames(id));
  if (!('id' in declaration) || declaration.id === null) return [];
  return declaration.id.type === 'Identifier' ? [declaration.id.name] : [];
}

function patternNames(pattern: Node | null): string[] {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern.name];
    case 'ObjectPattern':
      return pattern.properties.flatMap((item) =>
        patternNames(item.type === 'RestElement' ? item.argument : item.value),
      );
    case 'ArrayPattern':
      return pattern.elements.flatMap(patternNames);
    case 'AssignmentPattern':
      return patternNames(pattern.left);
    case 'RestElement':
      return patternNames(pattern.argument);
    default:
      return [];
  }
}
