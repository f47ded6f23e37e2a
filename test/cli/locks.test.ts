/** `mmstorm locks`: the learned order in its three forms. */
import { describe, expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';

const FEW = ['--ops', '600'];

interface Document {
  schema: string;
  kernel: string;
  seed: number;
  operations: number;
  classes: { name: string; rank: number; taken: string[] }[];
  order: { from: string; to: string; agreement: string }[];
  against: number;
  violations: { kind: string }[];
}

describe('locks', () => {
  it('--json lists classes and order; the newest kernel keeps to the documents', () => {
    const { status, stdout, stderr } = runMmstorm(['locks', '--json', ...FEW]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const document = JSON.parse(stdout) as Document;
    expect(document).toMatchObject({
      schema: 'mmstorm/locks/1',
      kernel: 'linux-7.0',
      seed: 1,
      operations: 600,
      against: 0,
    });
    expect(document.classes.map(({ name }) => name)).toContain('&mm->mmap_lock');
    expect(document.order).toContainEqual(
      expect.objectContaining({ from: '&mm->mmap_lock', to: 'ptlock_ptr(pte)', agreement: 'documented' }),
    );
    expect(runMmstorm(['locks', '--json', ...FEW]).stdout).toBe(stdout);
  });

  it('a table for humans ends with the distance to the documents', () => {
    const { status, stdout } = runMmstorm(['locks', ...FEW]);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /\d+ orders learned: \d+ as documented, \d+ between classes of one rank, 0 against the documents\n$/,
    );
  });

  it('--dot is a graph and nothing else', () => {
    const { status, stdout } = runMmstorm(['locks', '--dot', ...FEW]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^digraph locks \{\n/);
    expect(stdout).toMatch(/\}\n$/);
    expect(stdout).toContain('"&mm->mmap_lock" -> "ptlock_ptr(pte)"');
    expect(runMmstorm(['locks', '--dot', '--json'])).toMatchObject({ status: 2, stdout: '' });
  });

  it('what lockdep has to say is exit code 1', () => {
    const args = ['locks', '--json', '--kernel', 'linux-2.6.34-rc', '--ops', '3000'];
    const { status, stdout } = runMmstorm(args);
    expect(status).toBe(1);
    expect((JSON.parse(stdout) as Document).violations).toContainEqual(expect.objectContaining({ kind: 'lock-order' }));
  });
});
