/** What `hunt`, `verify` and `replay` run under: store buffers, detectors of accesses, and the forms of a replay. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChromeTrace } from '../../src/report/chromeTrace.ts';
import type { HuntDocument, HuntResult } from '../../src/report/huntDocument.ts';
import type { VerifyDocument } from '../../src/report/verifyDocument.ts';
import { parseReplay, type ReplayDocument } from '../../stress/hunt/replayDocument.ts';
import { runMmstorm, type Outcome } from '../support/runBuilt.ts';

const RECORDED = join(import.meta.dirname, '../../stress/corpus/vma-adjust-unlocked.replay.json');

let cwd = '';
const mmstorm = (...args: string[]): Outcome => runMmstorm(args, { cwd, timeoutMs: 55_000 });

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'mmstorm-conditions-'));
});

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

function hunt(...args: string[]): { status: number | null; result: HuntResult } {
  const { status, stdout } = mmstorm('hunt', ...args, '--seed', '1', '-q', '--json');
  return { status, result: (JSON.parse(stdout) as HuntDocument).results[0] };
}

function recorded({ replay }: HuntResult): ReplayDocument {
  return parseReplay(readFileSync(join(cwd, replay!), 'utf8'), replay!);
}

describe('--memory', () => {
  const withoutBarrier = ['vma-writer-waits', '--set', 'rcuwait.barrier=none'];

  it('tso: a missing barrier is a lost wake-up, and its replay file runs with store buffers', () => {
    const { status, result } = hunt(...withoutBarrier, '--memory', 'tso');
    expect(status).toBe(1);
    expect(result).toMatchObject({ memory: 'tso', detect: ['lifetimes', 'steps'], finding: { kind: 'deadlock' } });
    expect(result).not.toHaveProperty('notDeterministic');
    expect(result.schedule).toMatch(/^2\.4\./);
    expect(recorded(result).config).toMatchObject({ memory: 'tso', detect: ['lifetimes', 'steps'] });
    const again = mmstorm('replay');
    expect(again.stderr).toContain('memory tso, detectors lifetimes steps');
    expect(again.stdout).toContain('seen again: the same accesses, the same finding');
  });

  it('sc: there is nothing to find', () => {
    const { status, result } = hunt(...withoutBarrier, '--executions', '300');
    expect(status).toBe(0);
    expect(result).toMatchObject({ memory: 'sc', found: false });
  });

  it('an enumeration proves nothing where stores are buffered', () => {
    const args = ['--memory', 'tso', '--preemptions', '0', '--executions', '60', '--seed', '1', '-q', '--json'];
    const { status, stdout } = mmstorm('verify', 'vma-writer-waits', ...args);
    expect(status).toBe(0);
    expect(JSON.parse(stdout) as VerifyDocument).toMatchObject({ verdict: 'sampled', memory: 'tso' });
  });
});

describe('--detect', () => {
  const unlocked = ['vma-adjust-unlocked', '--executions', '200', '--no-minimise'];

  it('races: both sites with function and line, and the replay shows the same', () => {
    const { result } = hunt(...unlocked, '--detect', 'races');
    expect(result.finding!.kind).toBe('data-race');
    for (const site of result.finding!.evidence.slice(0, 2)) expect(site).toMatch(/ in \w+ \(src\/mm\/\w+\.ts:\d+\)$/);
    expect(result).not.toHaveProperty('notDeterministic');
    expect(mmstorm('replay', '-q').stdout).toContain('seen again');
  });

  it('guards: the store without its lock comes before the harm, which is all that is seen with none', () => {
    const once = ['vma-adjust-unlocked', '--executions', '1'];
    expect(hunt(...once, '--detect', 'guards').result.finding!.kind).toBe('lock-held');
    const { result } = hunt(...once, '--detect', 'none');
    expect(result.detect).toEqual([]);
    expect(['rmap-miss', 'dangling-migration-entry']).toContain(result.finding!.kind);
  });

  it('is chosen by what is looked for, and said at the start', () => {
    const { stderr } = mmstorm('hunt', 'degree-double-reuse', 'first-writes', '--executions', '1');
    expect(stderr).toContain('memory sc, detectors lifetimes for degree-double-reuse; ');
    expect(stderr).toContain('memory sc, detectors races guards lifetimes steps for first-writes');
    const verified = mmstorm('verify', 'first-writes', '--preemptions', '0');
    expect(verified.status).toBe(0);
    expect(verified.stderr).toContain('detectors races guards lifetimes steps');
  });

  it('files of older builds have neither', () => {
    const document = JSON.parse(readFileSync(RECORDED, 'utf8')) as { config: Record<string, unknown> };
    delete document.config['memory'];
    delete document.config['detect'];
    const { memory, detect } = parseReplay(JSON.stringify(document), RECORDED).config;
    expect({ memory, detect }).toEqual({ memory: 'sc', detect: [] });
  });
});

describe('replay --format', () => {
  it('chrome-trace is a document with slices of every thread, in a file of its own', () => {
    mmstorm('replay', RECORDED, '-q', '--format', 'chrome-trace', '-o', 'trace.json');
    const { traceEvents } = JSON.parse(readFileSync(join(cwd, 'trace.json'), 'utf8')) as ChromeTrace;
    const slices = traceEvents.filter(({ ph }) => ph === 'X');
    expect(slices.map(({ tid }) => tid)).toEqual(expect.arrayContaining([1, 2]));
    expect(slices.map(({ name }) => name)).toContain('sys_mprotect');
    expect(readdirSync(cwd).filter((name) => name.includes('tmp'))).toEqual([]);
  });

  it('full has every access, text those that matter', () => {
    const lines = (format: string): number => mmstorm('replay', RECORDED, '-q', '--format', format).stdout.length;
    expect(lines('full')).toBeGreaterThan(2 * lines('text'));
  });
});
