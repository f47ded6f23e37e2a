/** rules, kernels, bugs: the lists are complete and their documents parse. */
import { describe, expect, it } from 'vitest';
import type { Bug } from '../../stress/bugs/bug.ts';
import { BUGS } from '../../stress/bugs/catalogue.ts';
import { KERNELS } from '../../src/rules/presets.ts';
import { RULE_DOCS } from '../../src/rules/rules.ts';
import { runMmstorm } from '../support/runBuilt.ts';

function json<T>(...args: string[]): T {
  const { status, stdout, stderr } = runMmstorm([...args, '--json']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

interface RulesDocument {
  schema: string;
  kernel: string;
  rules: { rule: string; value: string; values: string[] }[];
}

describe('rules', () => {
  it('lists each rule once, with a value that it may have', () => {
    const { schema, kernel, rules } = json<RulesDocument>('rules');
    expect({ schema, kernel }).toEqual({ schema: 'mmstorm/rules/1', kernel: 'linux-7.0' });
    expect(rules.map(({ rule }) => rule)).toEqual(RULE_DOCS.map(({ rule }) => rule));
    for (const { value, values } of rules) expect(values).toContain(value);
  });

  it('shows a preset with settings on top', () => {
    const args = ['rules', 'mremap', '--kernel', 'linux-2.6.34-rc', '--set', 'mremap.flush=beforeUnlock'];
    const values = json<RulesDocument>(...args).rules.map(({ rule, value }) => [rule, value]);
    expect(values).toContainEqual(['mremap.rmapLocks', 'never']);
    expect(values).toContainEqual(['mremap.flush', 'beforeUnlock']);
  });

  it('says that nothing matched by exit code 4, in JSON by an empty list', () => {
    expect(runMmstorm(['rules', 'no-such-rule'])).toMatchObject({ status: 4, stdout: '' });
    const { status, stdout } = runMmstorm(['rules', 'no-such-rule', '--json']);
    expect(status).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ rules: [] });
  });
});

describe('kernels', () => {
  it('lists each preset complete, one of them the default', () => {
    const { kernels } = json<{ kernels: { name: string; isDefault: boolean; rules: object }[] }>('kernels');
    expect(kernels.map(({ name }) => name)).toEqual(KERNELS.map(({ name }) => name));
    expect(kernels.filter(({ isDefault }) => isDefault)).toHaveLength(1);
    for (const { rules } of kernels) expect(Object.keys(rules)).toHaveLength(RULE_DOCS.length);
  });
});

describe('bugs', () => {
  it('lists the catalogue, each with rules to set and findings to expect', () => {
    const { bugs } = json<{ bugs: Bug[] }>('bugs');
    expect(bugs).toEqual(BUGS);
    for (const { rules, expected } of bugs) {
      expect(rules).not.toEqual([]);
      expect(expected).not.toEqual([]);
    }
  });

  it('tells some in full', () => {
    const [first, second] = BUGS as [Bug, Bug];
    const { status, stdout } = runMmstorm(['bugs', second.id, first.id]);
    expect(status).toBe(0);
    expect(stdout).toContain(first.reference);
    expect(stdout.indexOf(second.title)).toBeLessThan(stdout.indexOf(first.title));
  });

  it('has unique ids', () => {
    expect(new Set(BUGS.map(({ id }) => id)).size).toBe(BUGS.length);
  });
});
