/** Stacks as V8 writes them: functions of the simulation by name, file and line, also out of a bundle. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import MagicString, { Bundle } from 'magic-string';
import { afterAll, expect, it } from 'vitest';
import { parseFrames } from '../../src/explore/explainStack.ts';

const root = mkdtempSync(join(tmpdir(), 'mmstorm-stack-'));
afterAll(() => rmSync(root, { recursive: true }));

it('leaves out what only carries the task, and whoever runs the explorer', () => {
  const stack = [
    'Error',
    '    at captureStack (/p/src/explore/explainStack.ts:30:17)',
    '    at load (/p/src/arena/access.explored.ts:14:10)',
    '    at vmaStart (/p/src/layout/vma.ts:70:10)',
    '    at vmaAddress (/p/src/mm/vmaAddress.ts:24:9)',
    '    at vmaAddress.next (<anonymous>)',
    '    at visit (file:///p/src/mm/rmapWalk.ts:78:15)',
    '    at Object.act (/p/stress/scenarios/torn.ts:3:1)',
    '    at /p/stress/scenarios/scenario.ts:9:2',
    '    at Execution.resume (/p/src/explore/execution.ts:130:1)',
    '    at explain (/p/src/explore/explain.ts:40:1)',
    '    at /p/test/mm/some.test.ts:9:2',
    '    at run (file:///p/node_modules/vitest/dist/x.js:1:1)',
    '    at process.processTicks (node:internal/x:1:1)',
  ].join('\n');
  expect(parseFrames(stack)).toEqual([
    { name: 'vmaAddress', file: 'src/mm/vmaAddress.ts', line: 24 },
    { name: 'visit', file: 'src/mm/rmapWalk.ts', line: 78 },
    { name: 'act', file: 'stress/scenarios/torn.ts', line: 3 },
    { name: '(anonymous)', file: 'stress/scenarios/scenario.ts', line: 9 },
  ]);
});

it('a detector between the task and its report is left out', () => {
  const stack = [
    'Error',
    '    at TraceRecorder.found (/p/src/explore/explainRecorder.ts:30:17)',
    '    at /p/stress/scenarios/stage.ts:90:3',
    '    at Checker.migrationSourceUnlock (/p/src/check/watch.ts:14:10)',
    '    at /p/src/cpu/hookGuard.explored.ts:40:10',
    '    at finishSource (/p/src/mm/migrateFolio.ts:141:9)',
  ].join('\n');
  expect(parseFrames(stack).map(({ name }) => name)).toEqual(['(anonymous)', 'finishSource']);
});

it('a place in a bundle is looked up in the map beside it', () => {
  const bundle = new Bundle();
  const source = '\n\n\nexport function* vmaDup() {\n  yield 1;\n}\n';
  bundle.addSource({ filename: join(root, 'src/mm/vma.ts'), content: new MagicString('const a = 1;\n') });
  bundle.addSource({ filename: join(root, 'src/mm/vmaSplit.ts'), content: new MagicString(source) });
  const file = join(root, 'dist/explored/scenarios.mjs');
  mkdirSync(join(root, 'dist/explored'), { recursive: true });
  writeFileSync(file, bundle.toString());
  writeFileSync(`${file}.map`, bundle.generateMap({ file, hires: true, includeContent: false }).toString());
  const line =
    bundle
      .toString()
      .split('\n')
      .findIndex((text) => text.includes('yield')) + 1;
  expect(parseFrames(`Error\n    at vmaDup$1 (file://${file}:${line}:3)`)).toEqual([
    { name: 'vmaDup', file: 'src/mm/vmaSplit.ts', line: 5 },
  ]);
});
