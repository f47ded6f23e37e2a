/**
 * The instrumenting pass as a plugin: one plain object that rolldown, vite and vitest accept alike.
 *
 * `explored` makes every Sim function a generator with a scheduling point behind each shared access; `perturbed` leaves
 * functions as they are and puts a possible delay there. What cannot be decided is a build error (problem.ts).
 */

import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import MagicString, { type SourceMap } from 'magic-string';
import { isFunction, childrenOf, type Node } from './ast.ts';
import { analyse, checkHost } from './analyse.ts';
import { FileContext } from './fileContext.ts';
import { Inference } from './inference.ts';
import { MemberNames, declaredMembers, type MemberUse } from './memberNames.ts';
import { ModuleGraph } from './moduleGraph.ts';
import { rewrite, type Mode } from './rewrite.ts';
import type { SourceModule } from './sourceModule.ts';

export interface InstrumentOptions {
  readonly mode: Mode;
  /** The project's folder: nothing outside it is touched. */
  readonly root: string;
  /** Folders and files (from the root) that are touched; without it all of the root but packages and build output. */
  readonly sources?: readonly string[];
  /** What the added import names; without it the runtime of the project itself, else of the installed package. */
  readonly runtime?: string;
  /** Modules with a twin that is written by hand for the explored build, from the root. Neither is rewritten. */
  readonly twins?: Readonly<Record<string, string>>;
}

/** A rewritten file. */
export interface Rewritten {
  readonly code: string;
  readonly map: SourceMap;
}

/** The plugin: what all three hosts have in common. */
export interface InstrumentPlugin {
  readonly name: string;
  readonly enforce: 'pre';
  readonly resolveId: (source: string, importer: string | undefined) => string | null;
  readonly transform: {
    readonly filter: { readonly id: RegExp };
    readonly handler: (code: string, id: string) => Rewritten | null;
  };
}

const OWN_RUNTIME = 'src/instrument/runtime.ts';
const PACKAGE_RUNTIME = 'mmstorm/instrument/runtime';
/**
 * The installed package's module with a twin, which is another entry of the package. The name is changed in the importing
 * file, because a host that leaves packages outside of its bundle asks no plugin where they are.
 */
const PACKAGE_MEMORY = 'mmstorm/memory';
const PACKAGE_MEMORY_EXPLORED = 'mmstorm/memory/explored';
const OWN_TWINS = {
  'src/cpu/platform.ts': 'src/cpu/platform.explored.ts',
  'src/cpu/hookGuard.ts': 'src/cpu/hookGuard.explored.ts',
  'src/arena/access.ts': 'src/arena/access.explored.ts',
  'src/arena/slab.ts': 'src/arena/slab.explored.ts',
  'src/arena/wordLock.ts': 'src/arena/wordLock.explored.ts',
  'src/arena/wordWait.ts': 'src/arena/wordWait.explored.ts',
};
const SOURCE_ID = /\.[cm]?ts($|\?)/;
const OUTPUT = /(^|\/)(node_modules|dist|coverage)\//;

/** Makes the plugin. Its `transform` throws an InstrumentError with every problem of the file. */
export function mmstormInstrument(options: InstrumentOptions): InstrumentPlugin {
  const pass = new Pass(options);
  return {
    name: 'mmstorm-instrument',
    enforce: 'pre',
    resolveId: (source, importer) => pass.resolveId(source, importer),
    transform: { filter: { id: SOURCE_ID }, handler: (code, id) => pass.transform(code, withoutQuery(id)) },
  };
}

class Pass {
  private readonly options: InstrumentOptions;
  private readonly root: string;
  private readonly twins: ReadonlyMap<string, string>;
  private readonly graph: ModuleGraph;
  private types: Inference;
  private typesVersion = 0;
  private members = new WeakMap<SourceModule, MemberUse[]>();

  constructor(options: InstrumentOptions) {
    this.options = options;
    this.root = resolve(options.root);
    const twins = Object.entries(options.twins ?? OWN_TWINS);
    this.twins = new Map(twins.map(([from, to]) => [join(this.root, from), join(this.root, to)]));
    this.graph = new ModuleGraph(this.root);
    this.types = new Inference(this.graph);
  }

  /** Puts the explored twin in the place of a module that has one. */
  resolveId(source: string, importer: string | undefined): string | null {
    if (this.options.mode !== 'explored' || importer === undefined || !/^[./]/.test(source)) return null;
    const twin = this.twins.get(resolve(dirname(withoutQuery(importer)), withoutQuery(source)));
    // A twin may build on the module whose place it takes.
    return twin === undefined || twin === withoutQuery(importer) ? null : twin;
  }

  /** Checks one file and rewrites it; null when there is nothing to rewrite. */
  transform(code: string, path: string): Rewritten | null {
    if (!this.covers(path)) return null;
    const module = this.graph.open(path, code);
    const text = this.rewriteCode(module) ?? new MagicString(code);
    if (this.options.mode === 'explored') useExploredMemory(module, text);
    if (!text.hasChanged()) return null;
    return { code: text.toString(), map: text.generateMap({ source: path, includeContent: true, hires: 'boundary' }) };
  }

  /** The module with its Sim functions and accesses rewritten; null when it has none. */
  private rewriteCode(module: SourceModule): MagicString | null {
    const { path, code } = module;
    const hasSim = /\bSim\s*</.test(code);
    const closure = this.graph.closure(module);
    this.refresh();
    if (!hasSim && !this.declaresSim(module)) {
      // On threads a Sim function is an ordinary one, and anybody may call it.
      if (this.options.mode === 'explored') checkHost(this.contextOf(module, [module]));
      return null;
    }
    const plan = analyse(this.contextOf(module, closure));
    const touched = plan.calls.size > 0 || (this.options.mode === 'explored' && plan.simFunctions.size > 0);
    return touched ? rewrite(module, plan, this.options.mode, this.runtimeFor(path)) : null;
  }

  /** A context in which member calls are known by the names that `closure` declares. */
  private contextOf(module: SourceModule, closure: readonly SourceModule[]): FileContext {
    const names = new MemberNames();
    for (const reached of closure) for (const use of this.membersOf(reached)) names.add(use);
    this.types.enter(names);
    return new FileContext(module, this.types, names, this.graph);
  }

  private membersOf(module: SourceModule): MemberUse[] {
    let members = this.members.get(module);
    if (members === undefined) {
      members = declaredMembers(module, this.types);
      this.members.set(module, members);
    }
    return members;
  }

  /** Forgets what was derived from modules that have changed since. */
  private refresh(): void {
    if (this.graph.version === this.typesVersion) return;
    this.typesVersion = this.graph.version;
    this.types = new Inference(this.graph);
    this.members = new WeakMap();
  }

  /** Functions may be Sim through an alias that another file declares. */
  private declaresSim(module: SourceModule): boolean {
    const search = (node: Node): boolean =>
      (isFunction(node) && this.types.functionKind(node, module) === 'sim') || childrenOf(node).some(search);
    return search(module.program);
  }

  private covers(path: string): boolean {
    if (/\.d\.[cm]?ts$/.test(path)) return false;
    const inside = relative(this.root, path).split(sep).join('/');
    if (inside.startsWith('../') || OUTPUT.test(inside) || inside === OWN_RUNTIME) return false;
    for (const [from, to] of this.twins) if (path === from || path === to) return false;
    const { sources } = this.options;
    return sources === undefined || sources.some((source) => inside === source || inside.startsWith(`${source}/`));
  }

  private runtimeFor(path: string): string {
    if (this.options.runtime !== undefined) return this.options.runtime;
    const own = join(this.root, OWN_RUNTIME);
    if (!existsSync(own)) return PACKAGE_RUNTIME;
    const from = relative(dirname(path), own).split(sep).join('/');
    return from.startsWith('.') ? from : `./${from}`;
  }
}

/** Makes a module import the explored twin of the package's memory. */
function useExploredMemory(module: SourceModule, text: MagicString): void {
  for (const statement of module.program.body) {
    const source = 'source' in statement ? statement.source : null;
    if (source?.value === PACKAGE_MEMORY) text.update(source.start, source.end, `'${PACKAGE_MEMORY_EXPLORED}'`);
  }
}

function withoutQuery(id: string): string {
  return id.replace(/[?#].*$/, '');
}
