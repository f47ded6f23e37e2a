/** Types of values: names, members, calls, literals; and what the place of an expression expects of it. */

import type { ESTree } from 'rolldown/utils';
import { enclosingFunction, isFunction, memberName, propertyName, type FunctionNode, type Node } from './ast.ts';
import type { MemberNames } from './memberNames.ts';
import type { ModuleGraph } from './moduleGraph.ts';
import type { Scope } from './scope.ts';
import { Shapes } from './shapes.ts';
import type { SourceModule } from './sourceModule.ts';
import { PLAIN, UNKNOWN, isMarked, unionOf, type Ty } from './ty.ts';

/** Methods of arrays that call back with an element. */
const ELEMENT_CALLBACKS = new Set(['every', 'filter', 'find', 'findIndex', 'flatMap', 'forEach', 'map', 'some']);

export class Inference extends Shapes {
  private names: MemberNames | null = null;
  private cache = new WeakMap<Node, Ty>();
  private readonly open = new Set<Node>();

  constructor(graph: ModuleGraph) {
    super(graph);
  }

  /** From now on member calls are known by these names. */
  enter(names: MemberNames): void {
    this.names = names;
    this.cache = new WeakMap();
  }

  /** Type of an expression; `unknown` where it cannot be told. */
  expressionTy(node: Node): Ty {
    const cached = this.cache.get(node);
    if (cached !== undefined) return cached;
    if (this.open.has(node)) return UNKNOWN; // const a = b, b = a
    this.open.add(node);
    const ty = this.infer(node);
    this.open.delete(node);
    this.cache.set(node, ty);
    return ty;
  }

  valueTy(scope: Scope, name: string): Ty {
    const binding = scope.value(name);
    switch (binding?.kind) {
      case undefined:
      case 'opaque':
        return PLAIN;
      case 'import':
        return this.importTy(scope.module, binding.source, binding.imported);
      case 'function':
        return { t: 'functions', nodes: binding.nodes, module: scope.module };
      case 'class':
        return { t: 'constructor', node: binding.node, module: scope.module };
      case 'pattern':
        return this.patternTy(binding.node, scope.module);
    }
  }

  /** What the place of an expression expects, or null when no type says. */
  expectedTy(node: Node, module: SourceModule): Ty | null {
    const parent = node.parent as Node; // an expression is never the program
    const scope = module.scopeOf(parent);
    switch (parent.type) {
      case 'ParenthesizedExpression':
      case 'TSNonNullExpression':
      case 'ChainExpression':
      case 'TSInstantiationExpression':
      case 'LogicalExpression':
        return this.expectedTy(parent, module);
      case 'TSSatisfiesExpression':
        return this.expectedTy(parent, module) ?? { t: 'type', node: parent.typeAnnotation, scope };
      case 'TSAsExpression':
      case 'TSTypeAssertion':
        return isConst(parent.typeAnnotation)
          ? this.expectedTy(parent, module)
          : { t: 'type', node: parent.typeAnnotation, scope };
      case 'ConditionalExpression':
        return node === parent.test ? null : this.expectedTy(parent, module);
      case 'SequenceExpression':
        return node === parent.expressions.at(-1) ? this.expectedTy(parent, module) : null;
      case 'CallExpression':
      case 'NewExpression':
        return this.expectedArgument(parent, node);
      case 'VariableDeclarator':
        return this.annotation(parent.id, scope);
      case 'AssignmentExpression':
        return node === parent.right && parent.left.type !== 'ObjectPattern' ? this.expressionTy(parent.left) : null;
      case 'AssignmentPattern':
        return this.annotation(parent.left, scope) ?? this.patternTy(parent.left, module);
      case 'Property':
        return this.expectedProperty(parent as ESTree.ObjectProperty, module);
      case 'PropertyDefinition':
      case 'AccessorProperty':
        return this.annotation(parent, scope) ?? this.namedTy(propertyName(parent.key, parent.computed));
      case 'ArrayExpression': {
        const list = this.expectedTy(parent, module);
        return list === null ? null : this.element(list);
      }
      case 'ReturnStatement':
        return this.expectedReturn(enclosingFunction(parent), module);
      case 'ArrowFunctionExpression':
        return node === parent.body ? this.expectedReturn(parent, module) : null;
      default:
        return null;
    }
  }

  private infer(node: Node): Ty {
    const module = this.moduleOf(node);
    if (isFunction(node)) return { t: 'functions', nodes: [node], module };
    switch (node.type) {
      case 'Identifier':
        return this.valueTy(module.scopeOf(node), node.name);
      case 'MemberExpression':
        return this.memberTy(node);
      case 'CallExpression':
        return this.resultTy(node);
      case 'ParenthesizedExpression':
      case 'TSNonNullExpression':
      case 'ChainExpression':
      case 'TSInstantiationExpression':
      case 'TSSatisfiesExpression':
        return this.expressionTy(node.expression);
      case 'TSAsExpression':
      case 'TSTypeAssertion':
        if (isConst(node.typeAnnotation)) return this.expressionTy(node.expression);
        return { t: 'type', node: node.typeAnnotation, scope: module.scopeOf(node) };
      case 'ConditionalExpression':
        return unionOf([this.expressionTy(node.consequent), this.expressionTy(node.alternate)]);
      case 'LogicalExpression':
        return unionOf([this.expressionTy(node.left), this.expressionTy(node.right)]);
      case 'AssignmentExpression':
        return this.expressionTy(node.right);
      case 'SequenceExpression':
        return this.expressionTy(node.expressions.at(-1) as Node);
      case 'ObjectExpression':
        return { t: 'object', node, module };
      case 'ArrayExpression':
        return { t: 'array', elements: node.elements.map((item) => this.arrayElementTy(item)) };
      case 'ClassExpression':
        return { t: 'constructor', node, module };
      case 'NewExpression':
        return this.constructedTy(node, module);
      case 'AwaitExpression':
        return this.shape(this.expressionTy(node.argument)).s === 'plain' ? PLAIN : UNKNOWN;
      case 'ThisExpression':
        return this.thisTy(node, module);
      case 'Super':
      case 'YieldExpression':
      case 'ImportExpression':
      case 'TaggedTemplateExpression':
        return UNKNOWN;
      default:
        return PLAIN;
    }
  }

  /** A member: what the object's own type says, else what its name says. */
  private memberTy(node: ESTree.MemberExpression): Ty {
    const object = this.expressionTy(node.object);
    const name = propertyName(node.property, node.computed);
    if (name === null) return this.element(object) ?? UNKNOWN;
    if (name.startsWith('#')) return this.privateTy(node, name);
    const own = this.member(object, name);
    if (own !== null && (object.t === 'namespace' || isMarked(this.kind(own)))) return own;
    return this.namedTy(name) ?? own ?? UNKNOWN;
  }

  /** Type of a private member: that of the class around the expression which declares it. */
  private privateTy(node: Node, name: string): Ty {
    for (let at = node.parent; at; at = at.parent) {
      if (at.type !== 'ClassBody') continue;
      const member = at.body.find((item) => memberName(item) === name);
      if (member !== undefined) return this.declaredTy(member, this.moduleOf(member).scopeOf(member));
    }
    return UNKNOWN;
  }

  /** Type of a reserved member name, or null. */
  private namedTy(name: string | null): Ty | null {
    const uses = name === null ? undefined : this.names?.marked(name);
    return uses === undefined ? null : unionOf(uses.map(({ ty }) => ty));
  }

  private resultTy(node: ESTree.CallExpression): Ty {
    const callee = this.expressionTy(node.callee);
    const signature = this.signature(callee);
    if (signature !== null) return signature.result;
    return this.shape(callee).s === 'plain' ? PLAIN : UNKNOWN;
  }

  /** `this` in a method, a field or an arrow inside one; `unknown` in an ordinary function. */
  private thisTy(node: Node, module: SourceModule): Ty {
    let at = node.parent;
    while (at && (!isFunction(at) || at.type === 'ArrowFunctionExpression') && at.type !== 'PropertyDefinition') {
      at = at.parent;
    }
    const member = at && isFunction(at) ? at.parent : at;
    if (member?.type === 'Property' && member.parent?.type === 'ObjectExpression') {
      return { t: 'object', node: member.parent, module };
    }
    if (member?.type !== 'MethodDefinition' && member?.type !== 'PropertyDefinition') return UNKNOWN;
    const owner = member.parent?.parent;
    if (owner?.type !== 'ClassDeclaration' && owner?.type !== 'ClassExpression') return UNKNOWN;
    if (member.static) return { t: 'constructor', node: owner, module };
    return { t: 'instance', node: owner, scope: module.scopeOf(owner) };
  }

  private arrayElementTy(item: Node | null): Ty {
    if (item === null) return PLAIN;
    if (item.type !== 'SpreadElement') return this.expressionTy(item);
    return this.element(this.expressionTy(item.argument)) ?? UNKNOWN;
  }

  private constructedTy(node: ESTree.NewExpression, module: SourceModule): Ty {
    const callee = this.expressionTy(node.callee);
    if (callee.t === 'constructor') {
      return { t: 'instance', node: callee.node, scope: callee.module.scopeOf(callee.node) };
    }
    const args = (node.typeArguments?.params ?? []).map((type): Ty => ({
      t: 'type',
      node: type,
      scope: module.scopeOf(node),
    }));
    return args.every((arg) => this.kind(arg) === 'none' || this.kind(arg) === 'plain') ? PLAIN : UNKNOWN;
  }

  /** Type of a name or pattern where it is declared: its annotation, or what flows into it. */
  private patternTy(node: Node, module: SourceModule): Ty {
    const written = this.annotation(node, module.scopeOf(node));
    if (written !== null) return written;
    const parent = node.parent as Node;
    switch (parent.type) {
      case 'AssignmentPattern':
        return this.patternTy(parent, module);
      case 'Property': {
        const name = propertyName(parent.key, parent.computed);
        const object = this.patternTy(parent.parent as Node, module);
        return (name === null ? null : (this.member(object, name) ?? this.namedTy(name))) ?? UNKNOWN;
      }
      case 'ArrayPattern':
        return this.element(this.patternTy(parent, module)) ?? UNKNOWN;
      case 'VariableDeclarator':
        return this.declaratorTy(parent);
      default:
        return isFunction(parent) ? this.parameterTy(parent, node, module) : UNKNOWN;
    }
  }

  private declaratorTy(node: ESTree.VariableDeclarator): Ty {
    if (node.init !== null) return this.expressionTy(node.init);
    const loop = node.parent?.parent;
    if (loop?.type === 'ForInStatement') return PLAIN;
    return loop?.type === 'ForOfStatement' ? (this.element(this.expressionTy(loop.right)) ?? UNKNOWN) : UNKNOWN;
  }

  /** Type of a parameter that is not written: what calls the function decides. */
  private parameterTy(fn: FunctionNode, param: Node, module: SourceModule): Ty {
    const index = (fn.params as Node[]).indexOf(param);
    const expected = fn.type === 'FunctionDeclaration' ? null : this.expectedTy(fn, module);
    const signature = expected === null ? null : this.signature(expected);
    if (signature !== null) return this.parameter(signature, index);
    const call = fn.parent;
    if (call?.type === 'NewExpression') return this.expressionTy(call.callee).t === 'plain' ? PLAIN : UNKNOWN;
    if (call?.type !== 'CallExpression') return UNKNOWN;
    if (call.callee.type !== 'MemberExpression') return this.expressionTy(call.callee).t === 'plain' ? PLAIN : UNKNOWN;
    const name = propertyName(call.callee.property, call.callee.computed) ?? '';
    if (!ELEMENT_CALLBACKS.has(name)) return UNKNOWN;
    return index === 0 ? (this.element(this.expressionTy(call.callee.object)) ?? UNKNOWN) : PLAIN;
  }

  private expectedArgument(call: ESTree.CallExpression | ESTree.NewExpression, node: Node): Ty | null {
    const index = (call.arguments as Node[]).indexOf(node);
    if (index < 0 || call.arguments.slice(0, index).some((argument) => argument.type === 'SpreadElement')) return null;
    const callee = this.expressionTy(call.callee);
    if (call.type === 'CallExpression') {
      const signature = this.signature(callee);
      return signature === null ? null : this.parameter(signature, index);
    }
    if (callee.t !== 'constructor') return null;
    const method = callee.node.body.body.find(
      (item) => item.type === 'MethodDefinition' && item.kind === 'constructor',
    );
    if (method?.type !== 'MethodDefinition') return null;
    const signature = this.signature({ t: 'functions', nodes: [method.value], module: callee.module });
    return signature === null ? null : this.parameter(signature, index);
  }

  private expectedProperty(property: ESTree.ObjectProperty, module: SourceModule): Ty | null {
    const object = property.parent as Node;
    if (object.type !== 'ObjectExpression') return null;
    const name = propertyName(property.key, property.computed);
    const expected = this.expectedTy(object, module);
    const own = expected === null ? null : name === null ? this.element(expected) : this.member(expected, name);
    return own !== null && isMarked(this.kind(own)) ? own : (this.namedTy(name) ?? own);
  }

  private expectedReturn(fn: FunctionNode | null, module: SourceModule): Ty | null {
    return fn === null ? null : (this.signature({ t: 'functions', nodes: [fn], module })?.result ?? null);
  }

  /** The module a node belongs to. */
  private moduleOf(node: Node): SourceModule {
    let at = node;
    while (at.parent) at = at.parent;
    return this.graph.moduleOf(at as ESTree.Program);
  }
}

function isConst(type: ESTree.TSType): boolean {
  return type.type === 'TSTypeReference' && type.typeName.type === 'Identifier' && type.typeName.name === 'const';
}
