/** Ceilings that are checked from the first commit: a file or a function that needs more has more than one subject. */
import type { ESTree } from 'rolldown/utils';
import { expect, it } from 'vitest';
import { expectNone } from './expectNone.ts';
import { lineAt, position, productFiles, sourceFiles, visit, type SourceFile } from './sourceTree.ts';

const MAX_FILE_LINES = 450;
const MAX_MEDIAN_FILE_LINES = 150;
const MAX_FUNCTION_LINES = 70;

function lineCount(file: SourceFile): number {
  return file.text.trimEnd().split('\n').length;
}

function longFunctions(file: SourceFile): string[] {
  const long: string[] = [];
  const check = (node: ESTree.Function | ESTree.ArrowFunctionExpression): void => {
    const lines = lineAt(file, node.end) - lineAt(file, node.start) + 1;
    if (lines > MAX_FUNCTION_LINES) long.push(`${position(file, node.start)} has ${lines} lines`);
  };
  visit(file, { FunctionDeclaration: check, FunctionExpression: check, ArrowFunctionExpression: check });
  return long;
}

it(`no file has more than ${MAX_FILE_LINES} lines`, () => {
  const large = sourceFiles().filter((file) => lineCount(file) > MAX_FILE_LINES);
  expectNone(large.map((file) => `${file.path} has ${lineCount(file)} lines`));
});

it(`half of the files have at most ${MAX_MEDIAN_FILE_LINES} lines`, () => {
  const sizes = productFiles().map(lineCount);
  sizes.sort((a, b) => a - b);
  expect(sizes[sizes.length >> 1]).toBeLessThanOrEqual(MAX_MEDIAN_FILE_LINES);
});

it(`no function outside the tests has more than ${MAX_FUNCTION_LINES} lines`, () => {
  expectNone(productFiles().flatMap(longFunctions));
});
