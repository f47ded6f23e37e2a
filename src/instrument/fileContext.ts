/** What every rule needs at hand: the file, the types, the reserved names, and where to put what it refuses. */

import { excerpt, type Node } from './ast.ts';
import type { Inference } from './inference.ts';
import type { MemberNames } from './memberNames.ts';
import type { ModuleGraph } from './moduleGraph.ts';
import { InstrumentError, positionAt, type Problem, type Rule } from './problem.ts';
import type { SourceModule } from './sourceModule.ts';

export class FileContext {
  readonly module: SourceModule;
  readonly types: Inference;
  readonly names: MemberNames;
  readonly graph: ModuleGraph;
  private readonly problems: Problem[] = [];
  private readonly reported = new Set<string>();

  constructor(module: SourceModule, types: Inference, names: MemberNames, graph: ModuleGraph) {
    this.module = module;
    this.types = types;
    this.names = names;
    this.graph = graph;
  }

  /** Notes a problem; the same rule speaks once per place. */
  refuse(rule: Rule, node: Node, message: string): void {
    const key = `${rule} ${node.start}`;
    if (this.reported.has(key)) return;
    this.reported.add(key);
    this.problems.push({ rule, message, file: this.module.path, ...positionAt(this.module.code, node.start) });
  }

  /** The source of a node, for a message. */
  text(node: Node): string {
    return `'${excerpt(this.module.code, node)}'`;
  }

  /** @throws InstrumentError with everything noted, in the order of the source */
  finish(): void {
    if (this.problems.length === 0) return;
    this.problems.sort((a, b) => a.line - b.line || a.column - b.column);
    throw new InstrumentError(this.problems);
  }
}

/** `file:line` of a node anywhere. */
export function placeOf(module: SourceModule, node: Node): string {
  return `${module.path}:${positionAt(module.code, node.start).line}`;
}
