/**
 * Which property names are functions of which kind. A call `x.name()` is known by its name alone, so a name declared
 * with a Sim function type anywhere a module can see is reserved for Sim functions there.
 */

import { childrenOf, isFunction, memberName, type Node } from './ast.ts';
import type { Shapes } from './shapes.ts';
import type { SourceModule } from './sourceModule.ts';
import type { Kind, Ty } from './ty.ts';

/** One declaration of a member that can be called. */
export interface MemberUse {
  readonly name: string;
  readonly kind: 'sim' | 'access' | 'plain' | 'mixed';
  readonly ty: Ty;
  readonly module: SourceModule;
  readonly node: Node;
}

export class MemberNames {
  private readonly uses = new Map<string, MemberUse[]>();

  add(use: MemberUse): void {
    const known = this.uses.get(use.name);
    if (known === undefined) this.uses.set(use.name, [use]);
    else known.push(use);
  }

  /** Kind of the functions under a name: `none` when no such name is declared, `mixed` when there are several kinds. */
  kind(name: string): Kind {
    const uses = this.uses.get(name);
    if (uses === undefined) return 'none';
    return uses.every(({ kind }) => kind === uses[0].kind) ? uses[0].kind : 'mixed';
  }

  /** The declarations under a name that is marked; undefined for all others. */
  marked(name: string): readonly MemberUse[] | undefined {
    const uses = this.uses.get(name);
    return uses?.some(({ kind }) => kind !== 'plain') === true ? uses : undefined;
  }
}

/** Every member declared in a module that can be called. */
export function declaredMembers(module: SourceModule, shapes: Shapes): MemberUse[] {
  const found: MemberUse[] = [];
  const visit = (node: Node): void => {
    const name = declaresMember(node) ? memberName(node) : null;
    // Private names are the class's own.
    if (name !== null && !name.startsWith('#')) {
      const ty = shapes.declaredTy(node, module.scopeOf(node));
      const kind = shapes.kind(ty);
      if (kind !== 'none' && kind !== 'unknown') found.push({ name, kind, ty, module, node });
    }
    for (const child of childrenOf(node)) visit(child);
  };
  visit(module.program);
  return found;
}

/** Members with a type or a body of their own; `{ a: b }` says nothing about `a` that `b` does not say. */
function declaresMember(node: Node): boolean {
  switch (node.type) {
    case 'TSMethodSignature':
    case 'TSPropertySignature':
    case 'MethodDefinition':
    case 'TSAbstractMethodDefinition':
      return true;
    case 'PropertyDefinition':
    case 'TSAbstractPropertyDefinition':
    case 'AccessorProperty':
      return Boolean(node.typeAnnotation) || (node.value !== null && isFunction(node.value));
    case 'Property':
      return isFunction(node.value) && node.kind === 'init';
    default:
      return false;
  }
}
