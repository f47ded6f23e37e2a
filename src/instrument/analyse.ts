/** Walks one file: checks every rule, and notes what is to be rewritten. */

import { basename } from 'node:path';
import type { ESTree } from 'rolldown/utils';
import { accessValue, type AccessValue } from './accessValue.ts';
import { bare, childrenOf, isFunction, type FunctionNode, type Node } from './ast.ts';
import { checkCall, checkOtherCalls, checkRawIndex, type Place } from './callRules.ts';
import type { FileContext } from './fileContext.ts';
import {
  checkArrowContext,
  checkFunction,
  checkMarkerPosition,
  checkMemberNames,
  checkOverloads,
} from './functionRules.ts';
import { checkValue, exportsMarked } from './valueRules.ts';

/** What the rewriting must touch. */
export interface Plan {
  /** Name of the file, without its folder. */
  readonly file: string;
  readonly simFunctions: Set<FunctionNode>;
  /** Calls in Sim functions: of Sim functions, or of Access functions with what those give. */
  readonly calls: Map<ESTree.CallExpression, 'sim' | AccessValue>;
}

/** Analyses a whole file. @throws InstrumentError if any rule is broken */
export function analyse(context: FileContext): Plan {
  const plan: Plan = { file: basename(context.module.path), simFunctions: new Set(), calls: new Map() };
  checkMemberNames(context);
  for (const child of childrenOf(context.module.program)) visit(context, plan, child, 'outside');
  context.finish();
  return plan;
}

/** For a file without Sim functions: a Sim function called here would never run in the explored build. */
export function checkHost(context: FileContext): void {
  const visitHost = (node: Node): void => {
    if (node.type === 'CallExpression') {
      const callee = bare(node.callee);
      const { types } = context;
      const isMember = callee.type === 'MemberExpression' && types.expressionTy(callee.object).t !== 'namespace';
      if (!isMember && types.kind(types.expressionTy(callee)) === 'sim') {
        context.refuse('sim-in-plain', node, `Sim call ${context.text(node)} in a file without Sim functions`);
      }
    }
    for (const child of childrenOf(node)) visitHost(child);
  };
  visitHost(context.module.program);
  context.finish();
}

function visit(context: FileContext, plan: Plan, node: Node, place: Place): void {
  checkValue(context, node);
  switch (node.type) {
    case 'CallExpression': {
      const kind = checkCall(context, node, place);
      if (kind === 'sim') plan.calls.set(node, 'sim');
      if (kind === 'access') plan.calls.set(node, accessValue(resultOf(context, node), context.graph));
      break;
    }
    case 'NewExpression':
    case 'TaggedTemplateExpression':
      checkOtherCalls(context, node);
      break;
    case 'MemberExpression':
      if (place === 'sim') checkRawIndex(context, node);
      break;
    case 'ImportExpression':
      checkDynamicImport(context, node);
      break;
    case 'TSTypeReference':
      checkMarkerPosition(context, node);
      break;
    case 'ThisExpression':
    case 'Super':
      checkArrowContext(context, node, node.type === 'Super' ? 'super' : 'this');
      break;
    case 'MetaProperty':
      if (node.meta.name === 'new') checkArrowContext(context, node, 'new.target');
      break;
    case 'Identifier':
      if (node.name === 'arguments') checkArrowContext(context, node, 'arguments');
      if (node.name === '__S' || node.name === '__P') {
        context.refuse('taken-name', node, `the name '${node.name}' is the pass's own`);
      }
      break;
    default:
      break;
  }
  if (isFunction(node)) visitFunction(context, plan, node);
  else for (const child of childrenOf(node)) visit(context, plan, child, placeOfChild(node, child, place));
}

function visitFunction(context: FileContext, plan: Plan, node: FunctionNode): void {
  const kind = checkFunction(context, node);
  checkOverloads(context, node);
  if (kind === 'sim' && node.body !== null) plan.simFunctions.add(node);
  const place: Place = kind === 'plain' && !node.returnType && !isTypeless(node) ? 'untyped' : kind;
  for (const child of childrenOf(node)) {
    const isParameter = (node.params as Node[]).includes(child);
    visit(context, plan, child, isParameter && place === 'sim' ? 'rigid' : place);
  }
}

/** Constructors and setters, which cannot have a return type. */
function isTypeless(node: FunctionNode): boolean {
  const { parent } = node;
  if (parent?.type !== 'MethodDefinition' && parent?.type !== 'Property') return false;
  return parent.kind === 'constructor' || parent.kind === 'set';
}

/** What a class evaluates by itself is no function body, wherever the class stands. */
function placeOfChild(parent: Node, child: Node, place: Place): Place {
  switch (parent.type) {
    case 'ClassDeclaration':
    case 'ClassExpression':
      return child.type === 'ClassBody' ? place : 'rigid';
    case 'MethodDefinition':
    case 'PropertyDefinition':
    case 'AccessorProperty':
    case 'StaticBlock':
    case 'Decorator':
      return 'rigid';
    default:
      return place;
  }
}

function resultOf(context: FileContext, call: ESTree.CallExpression) {
  return context.types.expressionTy(call);
}

function checkDynamicImport(context: FileContext, node: ESTree.ImportExpression): void {
  const { source } = node;
  if (source.type !== 'Literal' || typeof source.value !== 'string') {
    context.refuse('dynamic-import', node, 'import() of a module that cannot be told');
    return;
  }
  const target = context.graph.follow(context.module, source.value);
  if (target !== 'external' && (target === 'missing' || exportsMarked(context, target))) {
    context.refuse('dynamic-import', node, `import() of '${source.value}'`);
  }
}
