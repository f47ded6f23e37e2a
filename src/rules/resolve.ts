/** From `--kernel`, `--bug` and `--set` to one complete Rules value. */

import { UsageError } from '../base/usageError.ts';
import { KERNELS, type KernelPreset } from './presets.ts';
import { RULE_DOCS, type RuleDoc, type Rules } from './rules.ts';

/** One `part.rule=value`. */
export interface RuleSetting {
  readonly rule: string;
  readonly value: string;
}

/** Preset of that name. @throws UsageError with the known names */
export function kernelPreset(name: string): KernelPreset {
  const preset = KERNELS.find((kernel) => kernel.name === name);
  if (preset === undefined) {
    throw new UsageError(`unknown kernel '${name}' (known: ${KERNELS.map((kernel) => kernel.name).join(', ')})`);
  }
  return preset;
}

/** Parses `part.rule=value` and checks both sides. @throws UsageError */
export function parseRuleSetting(text: string): RuleSetting {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UsageError(`expected rule=value, not '${text}'`);
  const rule = text.slice(0, equals);
  const value = text.slice(equals + 1);
  const doc = ruleDoc(rule);
  if (!doc.values.includes(value)) {
    throw new UsageError(`rule ${rule} takes ${doc.values.join(' | ')}, not '${value}'`);
  }
  return { rule, value };
}

/** `base` with the settings applied in order. @throws UsageError for an unknown rule or value */
export function applyRuleSettings(base: Rules, settings: readonly RuleSetting[]): Rules {
  let rules = base as unknown as Record<string, Record<string, string | boolean>>;
  for (const setting of settings) {
    const { rule, value } = parseRuleSetting(`${setting.rule}=${setting.value}`);
    const [part, name] = rule.split('.') as [string, string];
    rules = { ...rules, [part]: { ...rules[part], [name]: typedValue(value) } };
  }
  return rules as unknown as Rules;
}

/** Current value of every rule, as `--set` would take it. */
export function listRules(rules: Rules): RuleSetting[] {
  const byPart = rules as unknown as Record<string, Record<string, string | boolean>>;
  return RULE_DOCS.map(({ rule }) => {
    const [part, name] = rule.split('.') as [string, string];
    return { rule, value: String(byPart[part]?.[name]) };
  });
}

function ruleDoc(rule: string): RuleDoc {
  const doc = RULE_DOCS.find((candidate) => candidate.rule === rule);
  if (doc === undefined) throw new UsageError(`unknown rule '${rule}' (mmstorm rules lists them)`);
  return doc;
}

function typedValue(value: string): string | boolean {
  if (value === 'true') return true;
  if (value === 'false') return false;
  return value;
}
