/**
 * `npm run check`: everything a change must pass. All steps run even when one fails; each has a time limit, because a
 * test that blocks its own thread would hang for ever. The last line counts tests, and each other step as one.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { ROOT } from './lib/buildAll.mjs';
import { installNode } from './lib/otherNode.mjs';

const SECOND_NODE = 24;
/** For a machine that is slow or busy: all time limits are longer by this factor. */
const PATIENCE = Number(process.env.CHECK_PATIENCE ?? 1);
const SIGNALS = ['SIGINT', 'SIGTERM'];

/** @typedef {{ passed: number, failed: number }} Count */

const reports = mkdtempSync(join(tmpdir(), 'mmstorm-check-'));
/** @type {Count} */
const total = { passed: 0, failed: 0 };
/** @type {string[]} */
const summary = [];

/**
 * Runs one step.
 * @param {string} name
 * @param {() => Promise<Count>} work
 */
async function step(name, work) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const count = await work().catch((error) => {
    console.log(String(error));
    return { passed: 0, failed: 1 };
  });
  total.passed += count.passed;
  total.failed += count.failed;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  summary.push(`${count.failed === 0 ? 'ok    ' : 'FAILED'} ${seconds.padStart(6)} s  ${name}`);
}

/**
 * Runs a command to its end, or kills it with all its children after the limit.
 * @param {string} executable
 * @param {string[]} args
 * @param {number} limitSeconds
 * @returns {Promise<number>} exit code
 */
function run(executable, args, limitSeconds) {
  const limit = limitSeconds * PATIENCE;
  return new Promise((resolve, reject) => {
    const child = spawn(executable, args, { cwd: ROOT, stdio: 'inherit', detached: true });
    const killAll = () => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL');
    const interrupt = () => process.exit(killAll() ? 130 : 1);
    const timer = setTimeout(() => {
      console.log(`killed after ${limit} s`);
      killAll();
    }, limit * 1000);
    for (const signal of SIGNALS) process.once(signal, interrupt);
    child.on('error', reject);
    child.on('exit', (code) => {
      clearTimeout(timer);
      for (const signal of SIGNALS) process.off(signal, interrupt);
      resolve(code ?? 1);
    });
  });
}

/** @param {number} exitCode */
const asCount = (exitCode) => (exitCode === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });

/**
 * @param {string} script of package.json
 */
async function npmScript(script) {
  return asCount(await run('npm', ['run', '-s', script], 120));
}

/** @param {string[]} args */
async function mmstorm(...args) {
  return asCount(await run(process.execPath, [join(ROOT, 'scripts/mmstorm.mjs'), ...args], 120));
}

/** @param {string} node */
async function tests(node) {
  const report = join(reports, 'tests.json');
  rmSync(report, { force: true });
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const code = await run(node, [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile=${report}`], 900);
  /** @type {{ numPassedTests: number, numFailedTests: number, numFailedTestSuites: number }} */
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  const failed = Math.max(counts.numFailedTests, counts.numFailedTestSuites, code === 0 ? 0 : 1);
  return { passed: counts.numPassedTests, failed };
}

await step('types', () => npmScript('typecheck'));
await step('lint', () => npmScript('lint'));
await step('format', () => npmScript('format:check'));
await step('build', () => npmScript('build'));
await step(`tests on Node ${process.versions.node}`, () => tests(process.execPath));
if (!process.versions.node.startsWith(`${SECOND_NODE}.`)) {
  await step(`tests on Node ${SECOND_NODE}`, async () => tests(installNode(ROOT, SECOND_NODE)));
}

await step('stress', () => mmstorm('stress', '--duration', '10s', '--seed', '1', '--quiet'));
await step('conformance', () => mmstorm('conform', 'test/fixtures/conformance/traces'));

rmSync(reports, { recursive: true, force: true });
console.log(`\n${summary.join('\n')}\n\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
