/**
 * Types as far as the pass needs them: enough to say of every called thing whether it is a Sim, an Access or a plain
 * function, and what its parameters expect. `Ty` is where a type is written; `Shape` is what that comes to.
 */

import type { ESTree } from 'rolldown/utils';
import type { FunctionNode, Node } from './ast.ts';
import type { Scope } from './scope.ts';
import type { SourceModule } from './sourceModule.ts';

/** `none`: cannot be called. `unknown`: cannot be told. `mixed`: one of several kinds. */
export type Kind = 'sim' | 'access' | 'plain' | 'none' | 'unknown' | 'mixed';

export type Ty =
  /** A value that is never a Sim or Access function: a number, something of another package. */
  | { readonly t: 'plain' }
  | { readonly t: 'unknown' }
  | { readonly t: 'type'; readonly node: ESTree.TSType; readonly scope: Scope }
  | { readonly t: 'interface'; readonly nodes: readonly ESTree.TSInterfaceDeclaration[]; readonly scope: Scope }
  | { readonly t: 'method'; readonly node: ESTree.TSMethodSignature; readonly scope: Scope }
  | { readonly t: 'functions'; readonly nodes: readonly FunctionNode[]; readonly module: SourceModule }
  | { readonly t: 'constructor'; readonly node: ESTree.Class; readonly module: SourceModule }
  | { readonly t: 'instance'; readonly node: ESTree.Class; readonly scope: Scope }
  | { readonly t: 'object'; readonly node: ESTree.ObjectExpression; readonly module: SourceModule }
  | { readonly t: 'array'; readonly elements: readonly Ty[] }
  | { readonly t: 'namespace'; readonly module: SourceModule }
  | { readonly t: 'union'; readonly of: readonly Ty[] };

export type Shape =
  | { readonly s: 'plain' }
  | { readonly s: 'unknown' }
  | Marker
  | Signature
  /** An array, or (`byName`) a record: all that it holds is of one type. */
  | { readonly s: 'list'; readonly element: Ty; readonly byName: boolean }
  | Members
  /** A built-in generic with function types inside: what comes out of it cannot be told. */
  | { readonly s: 'container' }
  | { readonly s: 'namespace'; readonly module: SourceModule }
  | { readonly s: 'union'; readonly of: readonly Shape[] };

/** `Sim<value>` or `Access<value>`. */
export interface Marker {
  readonly s: 'marker';
  readonly kind: 'sim' | 'access';
  readonly value: Ty;
}

export interface Signature {
  readonly s: 'signature';
  readonly kind: 'sim' | 'access' | 'plain';
  readonly params: readonly Node[];
  /** What a call gives, without the marker. */
  readonly result: Ty;
  readonly scope: Scope;
}

/** An object type: its written members, by part (an interface may have several), and what it extends. */
export interface Members {
  readonly s: 'members';
  readonly parts: readonly { readonly nodes: readonly Node[]; readonly scope: Scope }[];
  readonly bases: readonly Ty[];
}

export const PLAIN: Ty = { t: 'plain' };
export const UNKNOWN: Ty = { t: 'unknown' };
export const PLAIN_SHAPE: Shape = { s: 'plain' };
export const UNKNOWN_SHAPE: Shape = { s: 'unknown' };

/** Both kinds of marked function. */
export function isMarked(kind: Kind): kind is 'sim' | 'access' {
  return kind === 'sim' || kind === 'access';
}

/** The union of some types; plain ones (null, undefined) are kept, they do not matter. */
export function unionOf(of: readonly Ty[]): Ty {
  return of.length === 1 ? of[0] : { t: 'union', of };
}
