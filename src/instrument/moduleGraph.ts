/** The source modules a build has read so far, by path. A file that changed on disk is read again. */

import { readFileSync, statSync } from 'node:fs';
import type { ESTree } from 'rolldown/utils';
import { resolveImport, type Resolution } from './resolve.ts';
import { SourceModule } from './sourceModule.ts';

interface Entry {
  readonly module: SourceModule;
  readonly stamp: string;
}

export class ModuleGraph {
  readonly root: string;
  private readonly entries = new Map<string, Entry>();
  private readonly resolutions = new Map<string, Resolution>();
  private readonly byProgram = new WeakMap<ESTree.Program, SourceModule>();
  private readonly imports = new WeakMap<SourceModule, readonly string[]>();
  private changes = 0;

  constructor(root: string) {
    this.root = root;
  }

  /** Grows whenever a module was replaced: what was derived from the old one is void. */
  get version(): number {
    return this.changes;
  }

  /** The module at `path` with the code the bundler has for it. */
  open(path: string, code: string): SourceModule {
    const entry = this.entries.get(path);
    if (entry?.module.code === code) return entry.module;
    return this.put(path, code, stampOf(path));
  }

  /** The module at `path` as it is on disk. */
  load(path: string): SourceModule {
    const stamp = stampOf(path);
    const entry = this.entries.get(path);
    if (entry?.stamp === stamp) return entry.module;
    const code = readFileSync(path, 'utf8');
    if (entry === undefined || entry.module.code !== code) return this.put(path, code, stamp);
    this.entries.set(path, { module: entry.module, stamp });
    return entry.module;
  }

  /** The module that `source` means in `from`: `external` and `missing` have none. */
  follow(from: SourceModule, source: string): SourceModule | 'external' | 'missing' {
    const key = `${from.path}\0${source}`;
    let resolution = this.resolutions.get(key);
    if (resolution === undefined) {
      resolution = resolveImport(this.root, from.path, source);
      if (resolution.kind !== 'missing') this.resolutions.set(key, resolution);
    }
    return resolution.kind === 'file'
      ? (this.entries.get(resolution.path)?.module ?? this.load(resolution.path))
      : resolution.kind;
  }

  /** The module itself and everything it reaches by imports, each checked against the disk. */
  closure(module: SourceModule): SourceModule[] {
    const seen = new Set<string>([module.path]);
    const found = [module];
    for (const reached of found) {
      for (const path of this.importsOf(reached)) {
        if (seen.has(path)) continue;
        seen.add(path);
        found.push(this.load(path));
      }
    }
    return found;
  }

  /** Paths of the modules that a module names. */
  private importsOf(module: SourceModule): readonly string[] {
    let paths = this.imports.get(module);
    if (paths !== undefined) return paths;
    const targets = module.sources.map((source) => this.follow(module, source));
    paths = targets.filter((target) => typeof target !== 'string').map((target) => target.path);
    // What is missing now may be there next time.
    if (!targets.includes('missing')) this.imports.set(module, paths);
    return paths;
  }

  /** The module of a tree. */
  moduleOf(program: ESTree.Program): SourceModule {
    return this.byProgram.get(program) as SourceModule;
  }

  private put(path: string, code: string, stamp: string): SourceModule {
    if (this.entries.has(path)) this.changes++;
    const module = new SourceModule(path, code);
    this.byProgram.set(module.program, module);
    this.entries.set(path, { module, stamp });
    return module;
  }
}

function stampOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? 'none' : `${stats.mtimeMs} ${stats.size}`;
}
