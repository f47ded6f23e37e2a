/**
 * The package as others install it: its files in the node_modules of a project of somebody else, whose code it explores. The
 * project is the one that docs/explore.md builds up, so that the page cannot say what does not work.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { findCompiler } from '../../scripts/lib/compiler.mjs';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/explore.md'), 'utf8');
const TIMEOUT_MS = 120_000;

const PROGRAM = `
import { explore } from 'mmstorm/explore';
import { chooseOption, load, parkWord, relax, store, unparkWord, cas, type Memory, type Sim } from 'mmstorm/memory';
import { increment } from './counter.ts';

const setup = (memory: Memory): Sim<Memory> => memory;

function check(memory: Memory): Sim<void> {
  if (load(memory, 1) !== 2) throw new Error('an update was lost');
}

/** Sets the flag and wakes; who looks before and sleeps after it, sleeps for ever. */
function sleeper(memory: Memory): Sim<void> {
  if (load(memory, 5) === 0) parkWord(memory, 6, 0);
}

function waker(memory: Memory): Sim<void> {
  store(memory, 5, 1);
  unparkWord(memory, 6, 1);
}

function spinner(memory: Memory): Sim<void> {
  while (cas(memory, 7, 1, 2) !== 1) relax();
}

function setter(memory: Memory): Sim<void> {
  if (chooseOption(2) === 0) store(memory, 7, 1);
}

const lost = explore({ setup, threads: [increment, increment], check });
const asleep = explore({ setup, threads: [sleeper, waker], strategy: 'dpor' });
const spinning = explore({ setup, threads: [spinner, setter], strategy: 'dfs', maxSteps: 100 });
const titles = [lost, asleep, spinning].map(({ firstFailure }) => firstFailure?.violations[0]?.title);
console.log(JSON.stringify(titles));
`;

const BUILD = `
import { mmstormInstrument } from 'mmstorm/instrument';
import { build } from 'rolldown';

await build({
  input: 'src/program.ts',
  platform: 'node',
  external: process.argv[2] === 'external' ? /^mmstorm/ : /^node:/,
  plugins: [mmstormInstrument({ mode: 'explored', root: process.cwd() })],
  output: { file: 'out/program.mjs', format: 'esm' },
});
`;

const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2023',
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    types: ['node'],
    skipLibCheck: false,
  },
  include: ['src', 'test', 'vitest.config.ts'],
};

const project = realpathSync(mkdtempSync(join(tmpdir(), 'mmstorm-user-')));

function write(name: string, text: string): void {
  mkdirSync(dirname(join(project, name)), { recursive: true });
  writeFileSync(join(project, name), text);
}

function run(command: string, args: readonly string[]): string {
  const env = { ...process.env, NO_COLOR: '1', CI: '1' };
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: project,
    env,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  if (error !== undefined) throw error;
  expect(status, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
  return stdout;
}

beforeAll(() => {
  if (inject('buildError') !== '') throw new Error(inject('buildError'));
  write('package.json', JSON.stringify({ name: 'somebody-else', type: 'module' }));
  write('tsconfig.json', JSON.stringify(TSCONFIG));
  for (const [, file, code] of PAGE.matchAll(/```ts file=(\S+)\n([^]*?)```/g)) write(file, code);
  write('src/program.ts', PROGRAM);
  write('build.mjs', BUILD);
  const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  expect(packed.status, packed.stderr).toBe(0);
  mkdirSync(join(project, 'node_modules/mmstorm'), { recursive: true });
  run('tar', ['-xzf', packed.stdout.trim(), '-C', 'node_modules/mmstorm', '--strip-components=1']);
  for (const name of ['rolldown', 'magic-string', 'vitest', '@types', '@jridgewell']) {
    symlinkSync(realpathSync(join(ROOT, 'node_modules', name)), join(project, 'node_modules', name));
  }
}, TIMEOUT_MS);

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe('an installed package explores code of others', () => {
  const titles = [
    'the check at the end threw: an update was lost',
    'hung: 1 task sleeps for ever, and nobody is left to wake it',
    'no end after 100 steps: all that run spin, waiting for what nobody does',
  ];

  test.each(['external', 'bundled'])('built by rolldown, with the package %s', (how) => {
    run(process.execPath, ['build.mjs', how]);
    expect(JSON.parse(run(process.execPath, ['out/program.mjs']))).toEqual(titles);
  });

  test('the examples of the page, run by vitest', () => {
    const output = run(process.execPath, [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run']);
    expect(output).toMatch(/Tests\s+2 passed/);
  });

  test('the types are those of the package', () => {
    run(process.execPath, [findCompiler(ROOT), '-p', '.']);
  });
});
