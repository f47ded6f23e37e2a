import { describe, expect, test } from 'vitest';
import { KERNELS, LINUX_7_0 } from '../../src/rules/presets.ts';
import { applyRuleSettings, kernelPreset, listRules, parseRuleSetting } from '../../src/rules/resolve.ts';
import { RULE_DOCS } from '../../src/rules/rules.ts';
import { BUGS, findBug } from '../../stress/bugs/catalogue.ts';
import { parseMix } from '../../stress/mix.ts';

/** Every `part.rule` of a preset. */
function names(rules: object): string[] {
  return Object.entries(rules).flatMap(([part, inner]) =>
    Object.keys(inner as object).map((rule) => `${part}.${rule}`),
  );
}

describe('rules', () => {
  test.each(KERNELS.map((kernel) => [kernel.name, kernel.rules] as const))(
    '%s: every switch is documented',
    (_name, rules) => {
      expect(names(rules).sort()).toEqual(RULE_DOCS.map(({ rule }) => rule).sort());
      for (const { rule, value } of listRules(rules)) {
        expect(RULE_DOCS.find((doc) => doc.rule === rule)!.values).toContain(value);
      }
    },
  );

  test('settings change one switch and nothing else', () => {
    const rules = applyRuleSettings(LINUX_7_0, [{ rule: 'mremap.flush', value: 'afterUnlock' }]);
    expect(rules).toEqual({ ...LINUX_7_0, mremap: { ...LINUX_7_0.mremap, flush: 'afterUnlock' } });
  });

  test('booleans become booleans', () => {
    const rules = applyRuleSettings(LINUX_7_0, [{ rule: 'munmap.downgrade', value: 'false' }]);
    expect(rules.munmap.downgrade).toBe(false);
  });

  test.each([
    ['mremap.flush', /expected rule=value/],
    ['mremap.flash=x', /unknown rule 'mremap.flash'/],
    ['mremap.flush=x', /takes beforeUnlock \| afterUnlock, not 'x'/],
  ])('refuses %s', (text, message) => {
    expect(() => parseRuleSetting(text)).toThrow(message);
  });

  test('an unknown kernel names the known ones', () => {
    expect(() => kernelPreset('linux-9')).toThrow(/linux-7\.0, linux-6\.18, linux-2\.6\.34-rc/);
  });
});

describe('the catalogue', () => {
  test.each(BUGS.map((bug) => [bug.id, bug] as const))(
    '%s: its rules exist and differ from the newest kernel',
    (_id, bug) => {
      expect(applyRuleSettings(LINUX_7_0, bug.rules)).not.toEqual(LINUX_7_0);
      expect(bug.expected.length).toBeGreaterThan(0);
      if (bug.mix !== undefined) parseMix(bug.mix);
    },
  );

  test('ids are unique; an unknown one names the known ones', () => {
    expect(new Set(BUGS.map(({ id }) => id)).size).toBe(BUGS.length);
    expect(() => findBug('x')).toThrow(/vma-adjust-unlocked/);
  });
});
