/** `mmstorm hunt`, `verify`, `replay` and `scenarios` as a user runs them: documents, files, exit codes. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HuntDocument } from '../../src/report/huntDocument.ts';
import type { VerifyDocument } from '../../src/report/verifyDocument.ts';
import { BUGS } from '../../stress/bugs/catalogue.ts';
import { SCENARIOS } from '../../stress/scenarios/catalogue.ts';
import type { ReplayDocument } from '../../stress/hunt/replayDocument.ts';
import { builtCli, runMmstorm, type Outcome } from '../support/runBuilt.ts';

const TIMEOUT_MS = 55_000;
const CORPUS = join(import.meta.dirname, '../../stress/corpus');

let cwd = '';
const mmstorm = (...args: string[]): Outcome => runMmstorm(args, { cwd, timeoutMs: TIMEOUT_MS });

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'mmstorm-hunt-'));
});

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

interface ReplayOutcome {
  readonly findings: readonly { readonly kind: string; readonly id: string }[];
  readonly diverged: null | { readonly step: number; readonly expected: string; readonly actual: string };
}

function replayJson(file: string): { status: number | null; outcome: ReplayOutcome } {
  const { status, stdout } = mmstorm('replay', file, '-q', '--json');
  return { status, outcome: JSON.parse(stdout) as ReplayOutcome };
}

/** Hunts a bug and returns its document and the replay file. */
function huntJson(...args: string[]): { status: number | null; document: HuntDocument } {
  const { status, stdout } = mmstorm('hunt', ...args, '-q', '--json');
  return { status, document: JSON.parse(stdout) as HuntDocument };
}

describe('hunt', () => {
  it('finds a bug, writes its replay, and the replay shows it again', () => {
    const { status, document } = huntJson('vma-adjust-unlocked', '--seed', '1');
    expect(status).toBe(1);
    expect(document).toMatchObject({ schema: 'mmstorm/hunt/1', command: 'hunt', seed: 1, workers: 1 });
    const [result] = document.results;
    expect(result).toMatchObject({ bug: 'vma-adjust-unlocked', found: true, ended: 'found', strategy: 'mixed' });
    expect(result.finding).toMatchObject({
      kind: 'dangling-migration-entry',
      bug: expect.stringContaining('vma-adjust-unlocked') as string,
    });
    expect(result.finding!.reference).toContain('012f18004da3');
    expect(result).not.toHaveProperty('notDeterministic');
    const { before, after } = result.minimised!;
    expect(before).toMatchObject({ threads: 2, operations: 2 });
    expect(before.preemptions).toBeGreaterThan(2);
    expect(after).toMatchObject({ threads: 2, operations: 2, preemptions: 2 });
    expect(mmstorm('hunt', 'vma-adjust-unlocked', '--seed', '1', '-q').stdout).toContain(
      `${before.preemptions} -> 2 preemptions, ${before.steps} -> ${after.steps} steps`,
    );
    const named = replayJson(result.replay!);
    expect(named).toMatchObject({ status: 1, outcome: { diverged: null, findings: [{ id: result.finding!.id }] } });
    const last = mmstorm('replay', '-q');
    expect(last.status).toBe(1);
    expect(last.stdout).toContain('seen again: the same accesses, the same finding');
  });

  it('gives the same result for the same seed and number of workers', () => {
    const twice = [1, 2].map(
      () => huntJson('degree-double-reuse', '--seed', '5', '--workers', '2').document.results[0],
    );
    expect(twice[0].schedule).toBe(twice[1].schedule);
    expect(twice[0].finding).toEqual(twice[1].finding);
  });

  it('finds nothing under the rules of the kernel: all done for a scenario, no answer for a bug', () => {
    const plain = huntJson('munmap-vs-gup', '--executions', '60', '--seed', '1');
    expect(plain.status).toBe(0);
    expect(plain.document.results).toMatchObject([{ bug: null, found: false, ended: 'executions', executions: 60 }]);
    expect(plain.document.results[0].missProbability.length).toBeGreaterThan(0);
    const right = ['--set', 'vmaAdjust.rmapLock=root', '--executions', '60', '--seed', '1'];
    const bug = huntJson('vma-adjust-unlocked', ...right);
    expect(bug.status).toBe(5);
    expect(bug.document.results[0].found).toBe(false);
  });

  it('ends within its time', () => {
    const { status, document } = huntJson('munmap-vs-gup', '--duration', '300ms', '--seed', '1');
    expect(status).toBe(5);
    expect(document.results[0].ended).toBe('duration');
  });

  it('prints findings first and a line for each target last', () => {
    const { status, stdout, stderr } = mmstorm(
      'hunt',
      'mm-take-all-locks-order',
      'first-writes',
      ...['--seed', '2'],
      '--executions',
      '100',
    );
    expect(status).toBe(1);
    expect(stderr).toContain(
      'mmstorm hunt: mm-take-all-locks-order first-writes, kernel linux-7.0, seed 2, strategy mixed',
    );
    expect(stdout).toMatch(/^mm-take-all-locks-order \[lock-order [0-9a-f]{8}\]: /);
    expect(stdout).toMatch(/\nfirst-writes +none, linux-7.0 +nothing found +100 .* at depth 2/);
  });

  it('Ctrl-C: what was covered, exit code 130', async () => {
    const args = ['hunt', 'munmap-vs-fault', 'first-writes', '--json', '--duration', '50s'];
    const child = spawn(process.execPath, [builtCli(), ...args], { cwd });
    let stdout = '';
    child.stdout.on('data', (chunk) => (stdout += String(chunk)));
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    child.stderr.once('data', () => setTimeout(() => child.kill('SIGINT'), 2000));
    expect(await ended).toBe(130);
    const document = JSON.parse(stdout) as HuntDocument;
    expect(document.interrupted).toBe(true);
    expect(document.results).toMatchObject([{ scenario: 'munmap-vs-fault', ended: 'interrupted' }]);
  });
});

describe('hunt --from', () => {
  /** The start of a VMA has moved from page 100 to 102, its numbering has not: munmap is between two stores. */
  const FOUND = {
    schema: 'mmstorm/finding/1',
    kernel: 'linux-7.0',
    bug: 'vma-adjust-unlocked',
    rules: { 'vmaAdjust.rmapLock': 'none' },
    finding: {
      id: '6e9dc76a',
      kind: 'dangling-migration-entry',
      scene: {
        place: { process: 5, page: 104 },
        processes: [
          {
            number: 5,
            parent: 0,
            isStarting: false,
            ranges: [{ start: 102, end: 106, prot: 'rw' }],
            frames: [{ page: 104, pfn: 9 }],
          },
        ],
        operations: [
          { cpu: 0, op: 'munmap', running: true, process: 5, page: 101, pages: 1 },
          { cpu: 1, op: 'write', running: true, process: 8, page: 104, pages: 1 },
          { cpu: 2, op: 'compact', running: true, process: 8, pages: 0 },
        ],
      },
    },
  };

  it('finds the schedule of what a stress run has found, and the replay file is complete', () => {
    writeFileSync(join(cwd, 'found.json'), JSON.stringify(FOUND));
    const { status, document } = huntJson('--from', 'found.json', '--seed', '1');
    expect(status).toBe(1);
    const [result] = document.results;
    expect(result).toMatchObject({ scenario: 'from-6e9dc76a', bug: 'vma-adjust-unlocked', found: true });
    expect(result.finding!.kind).toBe('dangling-migration-entry');
    rmSync(join(cwd, 'found.json'));
    expect(replayJson(result.replay!)).toMatchObject({ status: 1, outcome: { diverged: null } });
  });

  it('finds nothing in the same scene under the right rule', () => {
    writeFileSync(join(cwd, 'found.json'), JSON.stringify(FOUND));
    const args = ['--from', 'found.json', '--set', 'vmaAdjust.rmapLock=root', '--executions', '200', '--seed', '1'];
    const { status, document } = huntJson(...args);
    expect(status).toBe(5);
    expect(document.results.map(({ finding }) => finding)).toEqual(document.results.map(() => undefined));
  });

  const { scene } = FOUND.finding;
  const withScene = (change: object): object => ({
    ...FOUND,
    finding: { ...FOUND.finding, scene: { ...scene, ...change } },
  });
  it.each([
    ['something else', { schema: 'other' }, 'schema: this is neither a finding nor a document of mmstorm stress'],
    ['without a scene', { ...FOUND, finding: { id: '6e9dc76a', kind: 'leak' } }, 'no finding in it has a scene'],
    [
      'with an unknown operation',
      withScene({ operations: [{ ...scene.operations[0], op: 'frok' }] }),
      'operations.0.op',
    ],
    ['with an unknown rule', { ...FOUND, rules: { 'a.b': 'c' } }, 'rules: '],
    ['with an unknown bug', { ...FOUND, bug: 'no-such' }, "bug: unknown bug 'no-such'"],
    ['in which nobody acts', withScene({ operations: scene.operations.slice(1, 2) }), 'no operation of the scene'],
  ])('refuses a file that is %s', (_what, contents, reason) => {
    writeFileSync(join(cwd, 'bad.json'), JSON.stringify(contents));
    const { status, stdout, stderr } = mmstorm('hunt', '--from', 'bad.json');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(reason);
  });
});

describe('verify', () => {
  function verifyJson(...args: string[]): { status: number | null; document: VerifyDocument } {
    const { status, stdout } = mmstorm('verify', ...args, '-q', '--json');
    return { status, document: JSON.parse(stdout) as VerifyDocument };
  }

  it('proves a scenario within a bound', () => {
    const { status, document } = verifyJson('munmap-vs-gup', '--preemptions', '1');
    expect(status).toBe(0);
    expect(document).toMatchObject({ verdict: 'proved', preemptions: 1, bug: null });
    expect(document.phases).toMatchObject([{ what: 'enumeration', ended: 'exhausted' }]);
    expect(document.phases[0].executions).toBeGreaterThan(20);
  });

  it('draws a sample where there are too many schedules', () => {
    const { status, document } = verifyJson('fork-vs-migration', '--executions', '40', '--seed', '1');
    expect(status).toBe(0);
    expect(document.verdict).toBe('sampled');
    expect(document.phases.map(({ what, executions }) => [what, executions])).toEqual([
      ['enumeration', 40],
      ['sample', 40],
    ]);
  });

  it('says so when a limit cut it short', () => {
    const { status, document } = verifyJson('degree-double-reuse', '--duration', '200ms');
    expect([status, document.verdict]).toEqual([5, 'cut']);
  });

  it('finds a bug that is switched on, in the fewest preemptions', () => {
    const { status, document } = verifyJson('vma-adjust-unlocked', '--bug', 'vma-adjust-unlocked');
    expect([status, document.verdict]).toEqual([1, 'found']);
    // Two preemptions: each task's run is cut once, and one of them goes on.
    expect(document.schedule).toMatch(/^2\.2\.a\d+b\d+a\d+$/);
  });
});

describe('replay', () => {
  const recorded = join(CORPUS, 'vma-adjust-unlocked.replay.json');
  const text = readFileSync(recorded, 'utf8');
  const document = JSON.parse(text) as ReplayDocument;

  function refused(name: string, contents: string | Uint8Array): string {
    writeFileSync(join(cwd, name), contents);
    const { status, stdout, stderr } = mmstorm('replay', name);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/^mmstorm replay: [^\n]*\n$/);
    expect(stderr).toContain(name);
    return stderr;
  }
  const changed = (change: object): string => JSON.stringify({ ...document, ...change });

  it.each([
    ['cut off', text.slice(0, 700), 'cut off after 700 characters'],
    ['empty', '', 'the file is empty'],
    ['not JSON', `?${text}`, 'not JSON'],
    ['not text', Uint8Array.of(0xff, 0xfe, 0x00), 'not UTF-8'],
    ['foreign', '{"name": "other"}', 'schema: this is not a replay file of mmstorm'],
    ['another version', changed({ schema: 'mmstorm/replay/9' }), "schema: 'mmstorm/replay/9' is not known"],
    ['a list', '[1, 2]', 'schema: '],
    ['of an unknown scenario', changed({ program: { scenario: 'no-such' } }), "program: unknown scenario 'no-such'"],
    [
      'with an unknown rule',
      changed({ config: { ...document.config, rules: { 'a.b': 'c' } } }),
      "config.rules: unknown rule 'a.b'",
    ],
    ['with a bad seed', changed({ config: { ...document.config, seed: -1 } }), 'config.seed: '],
    ['with a bad schedule', changed({ schedule: '2.2.a0' }), 'schedule: not a schedule'],
    ['of other threads', changed({ schedule: '2.3.a5' }), 'schedule: it has 3 tasks, the program 2'],
    ['with digests missing', changed({ digests: [] }), 'schedule: it has 3 runs, but there are 0 digests'],
    ['with something else in it', changed({ more: 1 }), 'more'],
  ])('refuses a file that is %s', (_what, contents, reason) => {
    expect(refused('damaged.json', contents)).toContain(reason);
  });

  it('names the first difference when the program does something else', () => {
    const digests = document.digests.with(1, '00000000');
    writeFileSync(join(cwd, 'other.json'), changed({ digests }));
    const { status, outcome } = replayJson('other.json');
    expect(status).toBe(5);
    const step = Number(/a(\d+)b/.exec(document.schedule)![1]);
    expect(outcome.diverged).toMatchObject({ step, expected: expect.stringContaining('thread 2 for') as string });
    expect(outcome.diverged!.expected).toContain('00000000');
  });

  it('diverges under other rules', () => {
    const rules = { ...document.config.rules, 'vmaAdjust.rmapLock': 'root' };
    writeFileSync(join(cwd, 'right.json'), changed({ config: { ...document.config, rules } }));
    const { status, stdout } = mmstorm('replay', 'right.json', '-q');
    expect(status).toBe(5);
    expect(stdout).toMatch(/diverged at step \d+\n {4}expected: thread \d for \d+ steps.*\n {4}actual: /);
  });

  it('without a file says that there is none yet', () => {
    const empty = join(cwd, 'empty');
    mkdirSync(empty);
    const { status, stderr } = runMmstorm(['replay'], { cwd: empty });
    expect(status).toBe(2);
    expect(stderr).toContain("no finding was recorded in '.mmstorm' yet");
  });
});

describe('the corpus', () => {
  const files = readdirSync(CORPUS);

  it('has each bug of the catalogue', () => {
    expect(files.toSorted()).toEqual(BUGS.map(({ id }) => `${id}.replay.json`).toSorted());
  });

  it.each(files)('%s shows its finding again, access for access (else: node scripts/corpus.mjs)', (file) => {
    const { finding } = JSON.parse(readFileSync(join(CORPUS, file), 'utf8')) as ReplayDocument;
    const { status, outcome } = replayJson(join(CORPUS, file));
    expect(outcome.diverged).toBeNull();
    expect(outcome.findings[0]).toMatchObject({ kind: finding.kind, id: finding.id });
    expect(status).toBe(1);
  });
});

describe('scenarios', () => {
  it('lists what there is', () => {
    const { status, stdout } = mmstorm('scenarios', '--json');
    expect(status).toBe(0);
    const { scenarios } = JSON.parse(stdout) as { scenarios: { id: string; threads: string[] }[] };
    expect(scenarios.map(({ id }) => id)).toEqual(SCENARIOS.map(({ id }) => id));
    expect(scenarios[0].threads).toEqual(SCENARIOS[0].threads);
  });

  it('tells one in full', () => {
    const { stdout } = mmstorm('scenarios', 'fork-vs-migration');
    expect(stdout).toContain('thread 1');
    expect(stdout).toContain('none: under the right rules nothing is found');
  });
});
