/** Rules on calls: which function may call which, and where a scheduling point can stand. */

import type { ESTree } from 'rolldown/utils';
import { bare, propertyName, type Node } from './ast.ts';
import type { FileContext } from './fileContext.ts';
import { refuseMixedName } from './functionRules.ts';
import { isMarked, type Kind } from './ty.ts';

/**
 * Where code stands. `untyped`: in a function without a return type; `outside`: at the top of the module; `rigid`:
 * evaluated by the language itself (default parameters, field initialisers, decorators).
 */
export type Place = 'sim' | 'access' | 'plain' | 'untyped' | 'outside' | 'rigid';

/** Judges one call. @returns what it needs: `sim` or `access` for a call in a Sim function, else null */
export function checkCall(context: FileContext, call: ESTree.CallExpression, place: Place): 'sim' | 'access' | null {
  const callee = bare(call.callee);
  if (callee.type === 'Super') return null;
  if (place === 'sim') checkRawAtomics(context, callee);
  const kind = calleeKind(context, call, callee);
  if (!isMarked(kind)) {
    if (place === 'sim' && kind === 'plain') checkCalleeIsTyped(context, call, callee);
    return null;
  }
  if (place !== 'sim') {
    if (kind === 'access' && place === 'access') return null;
    refuseCall(context, call, kind, place);
    return null;
  }
  if (standsInsideChain(call)) {
    context.refuse('optional-chain', call, `${context.text(call)} is followed by more of an optional chain`);
  }
  return kind;
}

/** `f` of `f(...)`: its kind, or `none` when it was refused. */
function calleeKind(context: FileContext, call: ESTree.CallExpression, callee: Node): Kind {
  const { types, names } = context;
  const name = callee.type === 'MemberExpression' ? propertyName(callee.property, callee.computed) : null;
  const isNamespace = callee.type === 'MemberExpression' && types.expressionTy(callee.object).t === 'namespace';
  if (name !== null && !isNamespace && names.kind(name) === 'mixed') {
    refuseMixedName(context, call, name);
    return 'none';
  }
  const kind = types.kind(types.expressionTy(callee));
  if (kind === 'mixed') {
    context.refuse('mixed-call', call, `${context.text(callee)} may be a Sim, an Access or a plain function`);
    return 'none';
  }
  if (kind === 'unknown' && (name === null || isNamespace)) {
    context.refuse('undecidable-call', call, whyUnknown(context, callee));
    return 'none';
  }
  return kind;
}

function whyUnknown(context: FileContext, callee: Node): string {
  const { module, graph } = context;
  const binding = callee.type === 'Identifier' ? module.scopeOf(callee).value(callee.name) : undefined;
  if (binding?.kind !== 'import') return `the type of ${context.text(callee)} cannot be told: write it down`;
  const target = graph.follow(module, binding.source);
  return target === 'missing'
    ? `${context.text(callee)} comes from '${binding.source}', which cannot be found`
    : `'${binding.source}' does not export ${binding.imported} with a type that can be told`;
}

function refuseCall(context: FileContext, call: Node, kind: 'sim' | 'access', place: Exclude<Place, 'sim'>): void {
  const what = `${kind === 'sim' ? 'Sim' : 'Access'} call ${context.text(call)}`;
  switch (place) {
    case 'untyped':
      context.refuse('return-type', call, `${what} in a function without a written return type`);
      break;
    case 'rigid':
      context.refuse('not-a-body', call, `${what} outside a function's body`);
      break;
    case 'access':
      context.refuse('sim-in-access', call, `${what} in an Access function`);
      break;
    case 'plain':
      context.refuse(`${kind}-in-plain`, call, `${what} in a plain function`);
      break;
    case 'outside':
      context.refuse(`${kind}-in-plain`, call, `${what} at the top of the module`);
      break;
  }
}

/** A function of another module that Sim code calls says what it returns, else a forgotten marker would go unseen. */
function checkCalleeIsTyped(context: FileContext, call: Node, callee: Node): void {
  const ty = context.types.expressionTy(callee);
  if (ty.t !== 'functions' || ty.module === context.module || ty.nodes.some((node) => node.returnType)) return;
  context.refuse('return-type', call, `${context.text(callee)} has no written return type`);
}

function checkRawAtomics(context: FileContext, callee: Node): void {
  if (callee.type !== 'MemberExpression' || callee.object.type !== 'Identifier') return;
  if (callee.object.name === 'Atomics')
    context.refuse('raw-access', callee, `${context.text(callee)} in a Sim function`);
}

/** `heap[...]` in a Sim function: by the name, or by the variable's type. */
export function checkRawIndex(context: FileContext, node: ESTree.MemberExpression): void {
  if (!node.computed || propertyName(node.property, true) !== null) return;
  const object = bare(node.object);
  const name = object.type === 'MemberExpression' ? propertyName(object.property, object.computed) : null;
  const isHeap =
    name === 'heap' || (object.type === 'Identifier' && (object.name === 'heap' || hasHeapType(context, object)));
  if (isHeap) context.refuse('raw-access', node, `${context.text(node)} in a Sim function`);
}

function hasHeapType(context: FileContext, object: ESTree.Node): boolean {
  const ty = context.types.expressionTy(object);
  if (ty.t !== 'type' || ty.node.type !== 'TSTypeReference') return false;
  const { typeName } = ty.node;
  return (
    typeName.type === 'Identifier' && /^(Heap|(Big)?(Ui|I)nt\d+(Clamped)?Array|Float\d+Array)$/.test(typeName.name)
  );
}

/** True for `a?.f().b`: the call is skipped together with what follows it, and cannot be taken out. */
function standsInsideChain(call: ESTree.CallExpression): boolean {
  let end: Node = call;
  while (end.parent && continuesChain(end.parent, end)) end = end.parent;
  return end !== call && end.parent?.type === 'ChainExpression' && hasOptionalLink(call);
}

function continuesChain(parent: Node, node: Node): boolean {
  if (parent.type === 'MemberExpression') return parent.object === node;
  if (parent.type === 'CallExpression') return parent.callee === node;
  return parent.type === 'TSNonNullExpression' && continuesChain(parent.parent as Node, parent);
}

/** True if a `?.` of the same chain stands in or before the node. */
export function hasOptionalLink(node: Node): boolean {
  switch (node.type) {
    case 'CallExpression':
      return node.optional || hasOptionalLink(node.callee);
    case 'MemberExpression':
      return node.optional || hasOptionalLink(node.object);
    case 'TSNonNullExpression':
      return hasOptionalLink(node.expression);
    default:
      return false;
  }
}

/** `new f()` and f`...` of marked functions. */
export function checkOtherCalls(
  context: FileContext,
  node: ESTree.NewExpression | ESTree.TaggedTemplateExpression,
): void {
  const callee = node.type === 'NewExpression' ? node.callee : node.tag;
  if (!isMarked(context.types.kind(context.types.expressionTy(callee)))) return;
  const rule = node.type === 'NewExpression' ? 'new-sim' : 'tagged-template';
  context.refuse(rule, node, `${context.text(callee)} is a Sim or Access function`);
}
