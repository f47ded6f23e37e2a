/**
 * A finding of a stress run with its scene, as a file: what a search for the schedule starts from. The document of a whole
 * stress run will do as well; the first of its findings that has a scene counts.
 */

import * as z from 'zod';
import type { Finding, FindingKind } from '../../src/base/finding.ts';
import { applyRuleSettings, kernelPreset, type RuleSetting } from '../../src/rules/resolve.ts';
import type { Scene } from '../../src/report/sceneDocument.ts';
import { STRESS_SCHEMA, type StressDocument, type StressFinding } from '../../src/report/stressDocument.ts';
import { findBug } from '../bugs/catalogue.ts';
import { SCENE } from './sceneSchema.ts';
import { parseJsonDocument, type Refuse } from './jsonDocument.ts';

const FINDING_SCHEMA = 'mmstorm/finding/1';

export interface FindingDocument {
  readonly schema: typeof FINDING_SCHEMA;
  readonly kernel: string;
  readonly bug?: string;
  /** Every rule with its value. */
  readonly rules: Readonly<Record<string, string>>;
  readonly finding: StressFinding;
}

/** What a search starts from. */
export interface FoundScene {
  readonly kernel: string;
  readonly bug: string | undefined;
  readonly rules: readonly RuleSetting[];
  readonly finding: Pick<Finding, 'id' | 'kind'>;
  readonly scene: Scene;
}

const FOUND = z.object({
  id: z.string().regex(/^[0-9a-f]{8}$/, 'not an id of 8 hexadecimal digits'),
  kind: z.string().min(1),
  scene: SCENE.optional(),
});

const RUN = { kernel: z.string(), bug: z.string().optional(), rules: z.record(z.string(), z.string()) };
const DOCUMENT = z.union([
  z.object({ schema: z.literal(FINDING_SCHEMA), ...RUN, finding: FOUND }),
  z.object({ schema: z.literal(STRESS_SCHEMA), ...RUN, findings: z.array(FOUND) }),
]);

/** The document of one finding of a run. */
export function findingDocument(run: StressDocument, finding: StressFinding): FindingDocument {
  const { kernel, bug, rules } = run;
  return { schema: FINDING_SCHEMA, kernel, ...(bug === undefined ? {} : { bug }), rules, finding };
}

/** Reads either document. @throws UsageError `name: field: reason` */
export function parseFinding(text: string, name: string): FoundScene {
  return parseJsonDocument(text, name, (value, refuse) => {
    const { schema } = (typeof value === 'object' && value !== null ? value : {}) as { schema?: unknown };
    if (schema !== FINDING_SCHEMA && schema !== STRESS_SCHEMA) {
      refuse('schema', 'this is neither a finding nor a document of mmstorm stress');
    }
    const document = checked(value, refuse);
    const { kernel, bug } = document;
    const found = 'finding' in document ? document.finding : document.findings.find(({ scene }) => scene !== undefined);
    if (found?.scene === undefined) return refuse('', 'no finding in it has a scene: there is nothing to start from');
    const rules = Object.entries(document.rules).map(([rule, value]) => ({ rule, value }));
    refuse.unless('kernel', () => kernelPreset(kernel));
    refuse.unless('rules', () => applyRuleSettings(kernelPreset(kernel).rules, rules));
    refuse.unless('bug', () => bug === undefined || findBug(bug));
    return { kernel, bug, rules, finding: { id: found.id, kind: found.kind as FindingKind }, scene: found.scene };
  });
}

function checked(value: unknown, refuse: Refuse): z.infer<typeof DOCUMENT> {
  const isOne = (value as { schema: string }).schema === FINDING_SCHEMA;
  const parsed = DOCUMENT.options[isOne ? 0 : 1].safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  return refuse(path.join('.'), message);
}
