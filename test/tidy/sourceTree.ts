/** The project's own source, parsed once, for the tests that judge it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { parseSync, Visitor, type ESTree, type VisitorObject } from 'rolldown/utils';

export const ROOT = join(import.meta.dirname, '../..');

const FOLDERS = ['src', 'workers', 'stress', 'bench', 'test'];

export interface SourceFile {
  /** From the project's root, with slashes: `src/mm/fork.ts`. */
  path: string;
  text: string;
  program: ESTree.Program;
  imports: ImportEdge[];
  exports: ExportedName[];
}

export interface ImportEdge {
  /** Path of the imported file, or the name of a package. */
  target: string;
  /** Names, or `*` for all of them. */
  names: string[];
  typeOnly: boolean;
}

export interface ExportedName {
  name: string;
  isType: boolean;
}

let cache: SourceFile[] | undefined;

/** Every TypeScript file of the project, sorted by path. */
export function sourceFiles(): SourceFile[] {
  cache ??= FOLDERS.flatMap(listTypeScript).sort().map(parseFile);
  return cache;
}

/** Source that ships or runs for users: all but the tests. */
export function productFiles(): SourceFile[] {
  return sourceFiles().filter((file) => !file.path.startsWith('test/'));
}

/** Calls the visitor's functions for each node of the file. */
export function visit(file: SourceFile, visitor: VisitorObject): void {
  new Visitor(visitor).visit(file.program);
}

/** `path:line` of an offset, to click on. */
export function position(file: SourceFile, offset: number): string {
  return `${file.path}:${lineAt(file, offset)}`;
}

export function lineAt(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split('\n').length;
}

function listTypeScript(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  const source = files.filter((file) => file.endsWith('.ts') && !file.startsWith('fixtures/'));
  return source.map((file) => `${folder}/${file}`);
}

function parseFile(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const { program, module } = parseSync(path, text, { lang: 'ts', astType: 'ts' });
  const file: SourceFile = { path, text, program, imports: [], exports: [] };
  for (const { moduleRequest, entries } of module.staticImports) {
    const names = entries.map(
      (entry) => entry.importName.name ?? (entry.importName.kind === 'Default' ? 'default' : '*'),
    );
    const typeOnly = entries.length > 0 && entries.every((entry) => entry.isType);
    file.imports.push({ target: resolve(path, moduleRequest.value), names, typeOnly });
  }
  for (const { entries } of module.staticExports) {
    for (const entry of entries) {
      const { moduleRequest, importName, exportName, isType } = entry;
      if (moduleRequest !== null) {
        const names = [importName.name ?? '*'];
        file.imports.push({ target: resolve(path, moduleRequest.value), names, typeOnly: isType });
      }
      if (exportName.name !== null) file.exports.push({ name: exportName.name, isType });
    }
  }
  addImportExpressions(file);
  return file;
}

/** `import('./x.ts')`, as an expression or as a type: every name counts as used. */
function addImportExpressions(file: SourceFile): void {
  const add = (source: ESTree.Node, typeOnly: boolean): void => {
    if (source.type !== 'Literal' || typeof source.value !== 'string') return;
    file.imports.push({ target: resolve(file.path, source.value), names: ['*'], typeOnly });
  };
  visit(file, {
    ImportExpression: (node) => add(node.source, false),
    TSImportType: (node) => add(node.source, true),
  });
}

function resolve(from: string, request: string): string {
  return request.startsWith('.') ? normalize(join(from, '..', request)) : request;
}
