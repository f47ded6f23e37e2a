/** From what the user names (a bug, a scenario) and `--kernel`, `--set`, `--bug` to programs with complete rules. */

import type { Bug } from '../../stress/bugs/bug.ts';
import { BUGS, findBug } from '../../stress/bugs/catalogue.ts';
import { SCENARIOS } from '../../stress/scenarios/catalogue.ts';
import { findPair } from '../../stress/scenarios/pairs.ts';
import type { Scenario } from '../../stress/scenarios/scenario.ts';
import { chooseDetectors, kindsOf, type Conditions, type DetectorWish } from '../../stress/hunt/detectorChoice.ts';
import type { ProgramName } from '../../stress/hunt/job.ts';
import { countScenes, sceneScenario } from '../../stress/scenarios/sceneScenario.ts';
import type { FoundScene } from '../../stress/hunt/findingDocument.ts';
import type { FindingKind } from '../base/finding.ts';
import { UsageError } from '../base/usageError.ts';
import type { Memory } from '../explore/explore.ts';
import { applyRuleSettings, kernelPreset } from '../rules/resolve.ts';
import type { Rules } from '../rules/rules.ts';
import { resolveRules, type RuleOptions } from './ruleOptions.ts';

/** Where harm is looked for: detectors of what foretells it would only cost time. */
const HARM: Exclude<DetectorWish, null> = ['lifetimes'];

/** A scenario under the rules of a run. */
export interface Target {
  readonly scenario: Scenario;
  readonly kernel: string;
  readonly rules: Rules;
  /** The bug that is switched on. */
  readonly bug: Bug | undefined;
  /** Kinds of finding that are the ones looked for; none: every kind is. */
  readonly expected: readonly FindingKind[];
  /** How the scenario is named to a thread that explores it. */
  readonly program: ProgramName;
  readonly conditions: Conditions;
}

export interface TargetOptions extends RuleOptions {
  bug?: string;
  memory: Memory;
  detect?: Exclude<DetectorWish, null>;
}

/** Targets of a hunt: a bug is hunted in its scenario; a scenario of a bug is explored with that bug switched on. */
export function huntTargets(names: readonly string[], options: TargetOptions): Target[] {
  return names.map((name) => {
    const scenario = scenarioOf(name);
    const bug = options.bug ?? scenario.bug ?? undefined;
    return targetOf(scenario, bug, options, bug === undefined ? 'all' : HARM);
  });
}

/** Every bug of the catalogue. */
export function allTargets(options: TargetOptions): Target[] {
  return huntTargets(
    BUGS.map(({ id }) => id),
    options,
  );
}

/** Target of a verification: the chosen kernel alone decides, unless a bug is named. */
export function verifyTarget(name: string, options: TargetOptions): Target {
  return targetOf(scenarioOf(name), options.bug, options, 'all');
}

/**
 * Targets of a search for the schedule of a finding: the scenarios of its scene, the likeliest first, under the rules that it
 * was found with.
 */
export function findingTargets(
  { finding, kernel, bug, rules, scene }: FoundScene,
  { set = [], memory, detect }: TargetOptions,
): Target[] {
  const count = countScenes(scene);
  if (count === 0) throw new UsageError('no operation of the scene can have to do with the finding');
  return Array.from({ length: count }, (_, variant): Target => {
    const id = `from-${finding.id}${variant === 0 ? '' : `-${variant + 1}`}`;
    const ruled = applyRuleSettings(kernelPreset(kernel).rules, [...rules, ...set]);
    return {
      scenario: sceneScenario(scene, id, variant),
      kernel,
      rules: ruled,
      bug: bug === undefined ? undefined : findBug(bug),
      expected: [finding.kind],
      program: { scene, id, variant, seeks: [finding.kind, ...kindsOf(detect ?? null)] },
      conditions: { memory, detect: chooseDetectors(detect ?? HARM, memory, ruled) },
    };
  });
}

function targetOf(
  scenario: Scenario,
  bugId: string | undefined,
  options: TargetOptions,
  byDefault: Exclude<DetectorWish, null>,
): Target {
  const { memory, detect } = options;
  const bug = bugId === undefined ? undefined : findBug(bugId);
  const expected = bug?.expected ?? [];
  const seeks = [...expected, ...kindsOf(detect ?? null)];
  const program = { scenario: scenario.id, ...(bug === undefined ? {} : { seeks }) };
  const resolved = resolveRules(options, bug?.rules);
  const conditions = { memory, detect: chooseDetectors(detect ?? byDefault, memory, resolved.rules) };
  return { scenario, bug, expected, program, conditions, ...resolved };
}

function scenarioOf(name: string): Scenario {
  const scenario =
    SCENARIOS.find(({ id }) => id === name) ?? SCENARIOS.find(({ bug }) => bug === name) ?? findPair(name);
  if (scenario !== undefined) return scenario;
  const known = SCENARIOS.map(({ id }) => id).join(', ');
  throw new UsageError(`unknown bug or scenario '${name}' (known: ${known})`);
}
