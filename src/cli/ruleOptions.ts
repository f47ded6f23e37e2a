/** From `--kernel` and `--set` to the rules of a run. */
import { applyRuleSettings, kernelPreset, type RuleSetting } from '../rules/resolve.ts';
import type { Rules } from '../rules/rules.ts';

export interface RuleOptions {
  kernel: string;
  set?: RuleSetting[];
}

/** The preset, then what `bug` needs, then the settings of the command line, which have the last word. */
export function resolveRules(
  { kernel, set = [] }: RuleOptions,
  bug: readonly RuleSetting[] = [],
): { kernel: string; rules: Rules } {
  return { kernel, rules: applyRuleSettings(kernelPreset(kernel).rules, [...bug, ...set]) };
}
