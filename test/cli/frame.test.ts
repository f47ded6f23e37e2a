/** What every command has in common: help, version, colours, output files, pipes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { COMMANDS } from '../../src/cli/commandTable.ts';
import { builtCli, runMmstorm } from '../support/runBuilt.ts';

describe('help and version', () => {
  it('--version prints the version of the package', () => {
    expect(runMmstorm(['--version'])).toEqual({ status: 0, stdout: `${packageJson.version}\n`, stderr: '' });
  });

  it('--help lists each command and the exit codes', () => {
    const { status, stdout, stderr } = runMmstorm(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { name } of COMMANDS) expect(stdout).toContain(`  ${name} `);
    expect(stdout).toContain('Exit codes:');
  });

  it.each(COMMANDS)('$name --help and help $name say the same', ({ name }) => {
    const help = runMmstorm([name, '--help']);
    expect(help.status).toBe(0);
    expect(help.stdout).toContain(`Usage: mmstorm ${name} `);
    expect(runMmstorm(['help', name])).toEqual(help);
  });
});

describe('colour', () => {
  const coloured = (args: string[], env: Record<string, string> = {}): boolean =>
    runMmstorm(['kernels', ...args], { env }).stdout.includes('\u001b[');

  it('is off in a pipe, on when asked for', () => {
    expect(coloured([])).toBe(false);
    expect(coloured(['--color', 'always'])).toBe(true);
    expect(coloured([], { FORCE_COLOR: '1' })).toBe(true);
    expect(coloured([], { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false);
    expect(coloured(['--color', 'never'], { FORCE_COLOR: '1' })).toBe(false);
  });
});

describe('the file of -o', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mmstorm-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('holds what stdout would have shown', () => {
    const expected = runMmstorm(['rules', '--json']).stdout;
    expect(runMmstorm(['rules', '--json', '-o', 'result.json'], { cwd: folder })).toMatchObject({
      status: 0,
      stdout: '',
    });
    expect(readFileSync(join(folder, 'result.json'), 'utf8')).toBe(expected);
    expect(readdirSync(folder)).toEqual(['result.json']);
  });

  it('is replaced through a link, and the link stays', () => {
    writeFileSync(join(folder, 'real'), 'old');
    symlinkSync('real', join(folder, 'link'));
    runMmstorm(['kernels', '-o', 'link'], { cwd: folder });
    expect(readFileSync(join(folder, 'real'), 'utf8')).toContain('linux-7.0');
  });

  it('may be a device, which is not replaced', () => {
    expect(runMmstorm(['kernels', '-o', '/dev/null'])).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });
});

it('a reader that goes away ends the command quietly', async () => {
  const child = spawn(process.execPath, [builtCli(), 'rules', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(stderr).toBe('');
  expect([0, 141]).toContain(status);
});
