/**
 * Every operation of the mm against every other: verifies each pair and writes docs/pairs.md.
 *
 * Usage: node scripts/pairs.mjs [NAME-PART]; with a part of a name only those pairs are run, and nothing is written.
 * Takes about an hour of one core. Needs a build.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const cli = join(root, 'dist/cli.mjs');
const part = process.argv[2] ?? '';

/** @typedef {{ executions: number, steps: number, elapsedMs: number }} Phase */
/** @typedef {{ pair: string, verdict: string, executions: number, steps: number, seconds: number }} Result */

/**
 * Runs a command of mmstorm.
 * @param {string[]} args
 * @returns {unknown} its document
 */
function mmstorm(...args) {
  const { stdout, stderr } = spawnSync(process.execPath, [cli, ...args, '--json'], { encoding: 'utf8' });
  if (stdout === '') throw new Error(`${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

/**
 * Verifies one pair.
 * @param {string} pair
 * @returns {Result}
 */
function verify(pair) {
  const { verdict, phases } = /** @type {{ verdict: string, phases: Phase[] }} */ (
    mmstorm('verify', pair, '--detect', 'none', '--seed', '1', '-q')
  );
  /** @param {keyof Phase} field */
  const sum = (field) => phases.reduce((total, phase) => total + phase[field], 0);
  return { pair, verdict, executions: sum('executions'), steps: sum('steps'), seconds: sum('elapsedMs') / 1000 };
}

/** @type {Record<string, string>} */
const VERDICTS = {
  proved: 'proved: no schedule of at most 2 preemptions',
  sampled: 'sampled: too many to enumerate',
};

/** @param {Result} result */
function row({ pair, verdict, executions, steps }) {
  const cells = [pair.slice('pair-'.length), executions.toLocaleString('en'), steps.toLocaleString('en')];
  return `| ${[...cells, VERDICTS[verdict] ?? `**${verdict}**`].join(' | ')} |`;
}

/** @type {Result[]} */
const results = [];
const { pairs } = /** @type {{ pairs: string[] }} */ (mmstorm('scenarios'));
for (const pair of pairs.filter((name) => name.includes(part))) {
  const result = verify(pair);
  results.push(result);
  console.error(`${pair}: ${result.verdict}, ${result.executions} executions, ${result.seconds.toFixed(1)} s`);
}
if (part === '') {
  const text = readFileSync(join(root, 'docs/pairs.md'), 'utf8');
  const head = text.slice(0, text.indexOf('| pair'));
  const table = ['| pair | executions | steps | verdict |', '| --- | ---: | ---: | --- |', ...results.map(row)];
  writeFileSync(join(root, 'docs/pairs.md'), `${head}${table.join('\n')}\n`);
}
process.exitCode = results.every(({ verdict }) => verdict in VERDICTS) ? 0 : 1;
