/** The addresses that the command line gives to its worker threads. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { workerUrl } from '../../src/cli/artifacts.ts';

const workers = readdirSync(join(import.meta.dirname, '../../workers')).filter((file) => !file.startsWith('explore'));

it('each simulating worker was built plain and perturbed', () => {
  const names = workers.filter((file) => file.endsWith('.ts')).map((file) => file.replace(/\.ts$/, ''));
  const urls = names.flatMap((name) => [workerUrl(name, false), workerUrl(name, true)]);
  expect(urls.filter((url) => !existsSync(url))).toEqual([]);
});
