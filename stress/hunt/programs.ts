/** From the name of a program to its scenario. */

import { findScenario } from '../scenarios/catalogue.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { sceneScenario } from '../scenarios/sceneScenario.ts';
import type { ProgramName } from './job.ts';

/** The scenario of a name. @throws UsageError when there is none */
export function scenarioOf(name: ProgramName): Scenario {
  return 'scene' in name ? sceneScenario(name.scene, name.id, name.variant) : findScenario(name.scenario);
}
