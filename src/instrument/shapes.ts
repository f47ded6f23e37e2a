/**
 * What a written type comes to: through aliases, interfaces, generics and imports to a signature, a list, some members.
 * Only as much as calls and callbacks need; whatever it does not know is `unknown`, never a guess.
 */

import type { ESTree } from 'rolldown/utils';
import { isFunction, memberName, propertyName, type FunctionNode, type Node } from './ast.ts';
import { builtinShape } from './builtinTypes.ts';
import type { ModuleGraph } from './moduleGraph.ts';
import type { Scope, TypeBinding } from './scope.ts';
import type { SourceModule } from './sourceModule.ts';
import { bindArguments, findType, insideGeneric, markerOf } from './typeNames.ts';
import {
  PLAIN,
  PLAIN_SHAPE,
  UNKNOWN,
  UNKNOWN_SHAPE,
  unionOf,
  type Kind,
  type Members,
  type Shape,
  type Signature,
  type Ty,
} from './ty.ts';

/** Aliases may be circular; nothing sensible nests deeper. */
const MAX_DEPTH = 60;

/** A function as far as its type goes. */
type Callable = { readonly params: readonly Node[]; readonly returnType?: ESTree.TSTypeAnnotation | null };

export abstract class Shapes {
  protected readonly graph: ModuleGraph;
  private depth = 0;
  private readonly functionShapes = new WeakMap<FunctionNode, Shape>();

  constructor(graph: ModuleGraph) {
    this.graph = graph;
  }

  /** Type of a value's name, as seen from a scope. */
  abstract valueTy(scope: Scope, name: string): Ty;
  abstract expressionTy(node: Node): Ty;

  /** What a type comes to. */
  shape(ty: Ty): Shape {
    if (this.depth > MAX_DEPTH) return UNKNOWN_SHAPE;
    this.depth++;
    try {
      return this.expand(ty);
    } finally {
      this.depth--;
    }
  }

  /** Whether a value of this type can be called, and as what. */
  kind(ty: Ty): Kind {
    return this.kindOfShape(this.shape(ty));
  }

  /** Kind of a function by its written return type. */
  functionKind(node: FunctionNode, module: SourceModule): 'sim' | 'access' | 'plain' {
    const shape = this.functionShape(node, module);
    return shape.s === 'signature' ? shape.kind : 'plain';
  }

  /** The one signature of a callable type, or null. */
  signature(ty: Ty): Signature | null {
    return this.signatureOf(this.shape(ty));
  }

  /** Type of parameter `index` of a signature; `unknown` when it is not written. */
  parameter(signature: Signature, index: number): Ty {
    const params = signature.params.filter((param) => !(param.type === 'Identifier' && param.name === 'this'));
    const last = params.at(-1);
    if (last?.type === 'RestElement' && index >= params.length - 1) {
      const rest = this.annotation(last, signature.scope);
      return rest === null ? UNKNOWN : (this.element(rest) ?? UNKNOWN);
    }
    const param = params.at(index);
    return param === undefined ? UNKNOWN : (this.annotation(param, signature.scope) ?? UNKNOWN);
  }

  /** Type of what an array or an indexed type holds, or null. */
  element(ty: Ty): Ty | null {
    const shape = this.shape(ty);
    if (shape.s === 'list') return shape.element;
    if (shape.s === 'members') return this.indexTy(shape);
    return shape.s === 'plain' ? PLAIN : null;
  }

  /** Type of a member by name, or null when it cannot be found. */
  member(ty: Ty, name: string): Ty | null {
    const shape = this.shape(ty);
    switch (shape.s) {
      case 'plain':
        return PLAIN;
      case 'namespace':
        return this.exportTy(shape.module, name);
      case 'list':
        return shape.byName ? shape.element : null;
      case 'members':
        return this.memberOf(shape, name);
      case 'union': {
        // A union or an intersection: what any part says.
        const found = shape.of.map((part) => (part.s === 'members' ? this.memberOf(part, name) : null));
        const known = found.filter((ty) => ty !== null);
        return known.length === 0 ? null : unionOf(known);
      }
      default:
        return null;
    }
  }

  /** Type of what a module exports under a name. */
  exportTy(module: SourceModule, name: string): Ty {
    if (name === '*') return { t: 'namespace', module };
    const binding = module.exports.get(name);
    if (binding?.kind === 'local') return this.valueTy(module.root, binding.name);
    if (binding?.kind === 'node') return this.declarationTy(binding.node, module);
    if (binding?.kind === 'from') return this.importTy(module, binding.source, binding.imported);
    for (const source of module.stars) {
      const target = this.graph.follow(module, source);
      const ty = typeof target === 'string' ? UNKNOWN : this.exportTy(target, name);
      if (ty.t !== 'unknown') return ty;
    }
    return UNKNOWN;
  }

  protected importTy(from: SourceModule, source: string, imported: string): Ty {
    const target = this.graph.follow(from, source);
    if (target === 'external') return PLAIN;
    return target === 'missing' ? UNKNOWN : this.exportTy(target, imported);
  }

  /** Written type of a parameter or variable, or null. */
  protected annotation(node: Node, scope: Scope): Ty | null {
    if (node.type === 'AssignmentPattern') return this.annotation(node.left, scope);
    if (node.type === 'TSParameterProperty') return this.annotation(node.parameter, scope);
    const written = 'typeAnnotation' in node ? node.typeAnnotation : null;
    return written?.type === 'TSTypeAnnotation' ? { t: 'type', node: written.typeAnnotation, scope } : null;
  }

  private declarationTy(node: Node, module: SourceModule): Ty {
    if (isFunction(node)) return { t: 'functions', nodes: [node], module };
    if (node.type === 'ClassDeclaration') return { t: 'constructor', node, module };
    return this.expressionTy(node);
  }

  private kindOfShape(shape: Shape): Kind {
    switch (shape.s) {
      case 'signature':
        return shape.kind;
      case 'unknown':
        return 'unknown';
      case 'members': {
        const call = this.signatureOf(shape);
        return call === null ? 'none' : call.kind;
      }
      case 'union':
        return shape.of.map((part) => this.kindOfShape(part)).reduce(joinKinds, 'none');
      default:
        return 'none';
    }
  }

  private signatureOf(shape: Shape): Signature | null {
    if (shape.s === 'signature') return shape;
    if (shape.s === 'union') {
      const callable = shape.of.map((part) => this.signatureOf(part)).filter((part) => part !== null);
      return callable.length === 0 ? null : callable[0];
    }
    if (shape.s !== 'members') return null;
    for (const { nodes, scope } of shape.parts) {
      const call = nodes.find((node) => node.type === 'TSCallSignatureDeclaration');
      if (call !== undefined) return this.callable(call, insideGeneric(call, scope));
    }
    return null;
  }

  private expand(ty: Ty): Shape {
    switch (ty.t) {
      case 'plain':
        return PLAIN_SHAPE;
      case 'unknown':
        return UNKNOWN_SHAPE;
      case 'type':
        return this.written(ty.node, ty.scope);
      case 'functions':
        return this.functionShape(ty.nodes[0], ty.module);
      case 'constructor':
        return {
          s: 'members',
          parts: [{ nodes: staticElements(ty.node), scope: ty.module.scopeOf(ty.node) }],
          bases: [],
        };
      case 'instance':
        return this.instance(ty.node, ty.scope);
      case 'interface':
        return this.interfaceShape(ty.nodes, ty.scope);
      case 'method':
        return this.callable(ty.node, insideGeneric(ty.node, ty.scope));
      case 'object':
        return { s: 'members', parts: [{ nodes: ty.node.properties, scope: ty.module.scopeOf(ty.node) }], bases: [] };
      case 'array':
        return { s: 'list', element: ty.elements.length === 0 ? PLAIN : unionOf(ty.elements), byName: false };
      case 'namespace':
        return { s: 'namespace', module: ty.module };
      case 'union':
        return { s: 'union', of: ty.of.map((part) => this.shape(part)) };
    }
  }

  private functionShape(node: FunctionNode, module: SourceModule): Shape {
    let shape = this.functionShapes.get(node);
    if (shape === undefined) {
      shape = this.callable(node, module.scopeOf(node));
      this.functionShapes.set(node, shape);
    }
    return shape;
  }

  private callable(node: Callable, scope: Scope): Signature {
    const written = node.returnType?.typeAnnotation;
    if (written === undefined) return { s: 'signature', kind: 'plain', params: node.params, result: UNKNOWN, scope };
    const result: Ty = { t: 'type', node: written, scope };
    const shape = this.shape(result);
    return shape.s === 'marker'
      ? { s: 'signature', kind: shape.kind, params: node.params, result: shape.value, scope }
      : { s: 'signature', kind: 'plain', params: node.params, result, scope };
  }

  private written(node: ESTree.TSType, scope: Scope): Shape {
    const inner = (type: ESTree.TSType): Shape => this.shape({ t: 'type', node: type, scope });
    switch (node.type) {
      case 'TSParenthesizedType':
        return inner(node.typeAnnotation);
      case 'TSTypeOperator':
        return node.operator === 'readonly' ? inner(node.typeAnnotation) : PLAIN_SHAPE;
      case 'TSFunctionType':
        return this.callable(node, insideGeneric(node, scope));
      case 'TSArrayType':
        return { s: 'list', element: { t: 'type', node: node.elementType, scope }, byName: false };
      case 'TSTupleType':
        return {
          s: 'list',
          element: unionOf(node.elementTypes.map((type) => tupleElement(type, scope))),
          byName: false,
        };
      case 'TSUnionType':
      case 'TSIntersectionType':
        return { s: 'union', of: node.types.map(inner) };
      case 'TSTypeLiteral':
        return { s: 'members', parts: [{ nodes: node.members, scope }], bases: [] };
      case 'TSMappedType':
        return { s: 'members', parts: [{ nodes: [node], scope }], bases: [] };
      case 'TSIndexedAccessType':
        return this.indexedAccess(node, scope);
      case 'TSTypeReference':
        return this.reference(node, scope);
      case 'TSTypeQuery':
        return this.query(node, scope);
      case 'TSAnyKeyword':
      case 'TSUnknownKeyword':
      case 'TSConditionalType':
      case 'TSInferType':
      case 'TSImportType':
      case 'TSThisType':
        return UNKNOWN_SHAPE;
      default:
        return PLAIN_SHAPE;
    }
  }

  private indexedAccess(node: ESTree.TSIndexedAccessType, scope: Scope): Shape {
    const object: Ty = { t: 'type', node: node.objectType, scope };
    const { indexType } = node;
    const name = indexType.type === 'TSLiteralType' ? propertyName(indexType.literal, true) : null;
    const ty = name === null ? this.element(object) : this.member(object, name);
    return ty === null ? UNKNOWN_SHAPE : this.shape(ty);
  }

  private query(node: ESTree.TSTypeQuery, scope: Scope): Shape {
    const { exprName } = node;
    if (exprName.type === 'Identifier') return this.shape(this.valueTy(scope, exprName.name));
    if (exprName.type !== 'TSQualifiedName' || exprName.left.type !== 'Identifier') return UNKNOWN_SHAPE;
    const ty = this.member(this.valueTy(scope, exprName.left.name), exprName.right.name);
    return ty === null ? UNKNOWN_SHAPE : this.shape(ty);
  }

  private reference(node: ESTree.TSTypeReference, scope: Scope): Shape {
    const args = (node.typeArguments?.params ?? []).map((type): Ty => ({ t: 'type', node: type, scope }));
    const found = findType(this.graph, node.typeName, scope);
    if (found === 'missing') return UNKNOWN_SHAPE;
    if (found === 'global' || found === 'external') {
      const name = found === 'global' && node.typeName.type === 'Identifier' ? node.typeName.name : '';
      return builtinShape(name, args, this);
    }
    return this.bindingShape(found.binding, found.scope, args);
  }

  private bindingShape(binding: TypeBinding, scope: Scope, args: readonly Ty[]): Shape {
    switch (binding.kind) {
      case 'alias': {
        const marker = markerOf(binding.node);
        if (marker !== null) return { s: 'marker', kind: marker, value: args[0] ?? UNKNOWN };
        const inside = bindArguments(binding.node, scope, args);
        return this.shape({ t: 'type', node: binding.node.typeAnnotation, scope: inside });
      }
      case 'interface':
        return this.interfaceShape(binding.nodes, bindArguments(binding.nodes[0], scope, args));
      case 'class':
        return this.instance(binding.node, bindArguments(binding.node, scope, args));
      case 'bound':
        return this.shape(binding.ty);
      case 'parameter': {
        const { constraint } = binding.node;
        return constraint === null ? UNKNOWN_SHAPE : this.shape({ t: 'type', node: constraint, scope });
      }
      case 'opaque':
        return PLAIN_SHAPE;
      case 'import':
        return UNKNOWN_SHAPE;
    }
  }

  private interfaceShape(nodes: readonly ESTree.TSInterfaceDeclaration[], scope: Scope): Shape {
    const bases = nodes.flatMap((node) => node.extends.map((base) => this.heritage(base, scope)));
    return { s: 'members', parts: nodes.map((node) => ({ nodes: node.body.body, scope })), bases };
  }

  private heritage(base: ESTree.TSInterfaceHeritage, scope: Scope): Ty {
    const { expression, typeArguments } = base;
    if (expression.type !== 'Identifier') return UNKNOWN;
    const found = findType(this.graph, expression, scope);
    if (typeof found === 'string') return found === 'missing' ? UNKNOWN : PLAIN;
    const args = (typeArguments?.params ?? []).map((node): Ty => ({ t: 'type', node, scope }));
    if (found.binding.kind === 'interface') {
      const { nodes } = found.binding;
      return { t: 'interface', nodes, scope: bindArguments(nodes[0], found.scope, args) };
    }
    if (found.binding.kind === 'class') return { t: 'instance', node: found.binding.node, scope: found.scope };
    if (found.binding.kind !== 'alias') return UNKNOWN;
    const { node } = found.binding;
    return { t: 'type', node: node.typeAnnotation, scope: bindArguments(node, found.scope, args) };
  }

  private instance(node: ESTree.Class, scope: Scope): Shape {
    const base = node.superClass === null ? null : this.expressionTy(node.superClass);
    const bases: Ty[] = [];
    if (base?.t === 'constructor')
      bases.push({ t: 'instance', node: base.node, scope: base.module.scopeOf(base.node) });
    else if (base !== null) bases.push(base);
    return { s: 'members', parts: [{ nodes: node.body.body, scope }], bases };
  }

  private memberOf(shape: Members, name: string): Ty | null {
    for (const { nodes, scope } of shape.parts) {
      const node = nodes.find((candidate) => memberName(candidate) === name);
      if (node !== undefined) return this.declaredTy(node, scope);
    }
    for (const base of shape.bases) {
      const ty = this.member(base, name);
      if (ty !== null) return ty;
    }
    return this.indexTy(shape);
  }

  private indexTy(shape: Members): Ty | null {
    for (const { nodes, scope } of shape.parts) {
      for (const node of nodes) {
        if (node.type === 'TSIndexSignature') return { t: 'type', node: node.typeAnnotation.typeAnnotation, scope };
        if (node.type === 'TSMappedType' && node.typeAnnotation) return { t: 'type', node: node.typeAnnotation, scope };
      }
    }
    return null;
  }

  /** Type of one declared member: of an interface, a class or an object literal. */
  declaredTy(node: Node, scope: Scope): Ty {
    switch (node.type) {
      case 'TSMethodSignature': {
        if (node.kind === 'method') return { t: 'method', node, scope };
        const type = node.returnType?.typeAnnotation;
        return type === undefined ? UNKNOWN : { t: 'type', node: type, scope };
      }
      case 'MethodDefinition':
      case 'TSAbstractMethodDefinition': {
        const method: Ty = { t: 'functions', nodes: [node.value], module: scope.module };
        return node.kind === 'method' ? method : (this.signature(method)?.result ?? UNKNOWN);
      }
      case 'Property':
        return node.kind === 'get' ? UNKNOWN : this.expressionTy(node.value);
      case 'PropertyDefinition':
      case 'TSAbstractPropertyDefinition':
      case 'AccessorProperty':
      case 'TSPropertySignature': {
        const written = this.annotation(node, scope);
        if (written !== null) return written;
        return 'value' in node && node.value ? this.expressionTy(node.value) : UNKNOWN;
      }
      default:
        return UNKNOWN;
    }
  }
}

/** Kind of a call that may reach either of two functions. */
function joinKinds(a: Kind, b: Kind): Kind {
  if (a === b || b === 'none') return a;
  if (a === 'none') return b;
  return a === 'unknown' || b === 'unknown' ? 'unknown' : 'mixed';
}

function staticElements(node: ESTree.Class): Node[] {
  return node.body.body.filter((element) => 'static' in element && element.static);
}

function tupleElement(node: ESTree.TSTupleElement, scope: Scope): Ty {
  if (node.type === 'TSOptionalType') return { t: 'type', node: node.typeAnnotation, scope };
  if (node.type === 'TSNamedTupleMember') return tupleElement(node.elementType, scope);
  if (node.type === 'TSRestType') return UNKNOWN;
  return { t: 'type', node, scope };
}
