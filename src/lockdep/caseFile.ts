/** Files of lock-sequence cases: one JSON object per line. Whatever is wrong is named with its line and field. */

import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { UsageError } from '../base/usageError.ts';
import { MalformedOp, locksOf, readOp, type CaseOp } from './caseOps.ts';
import { MAX_NODES } from './section.ts';

/** One case. Segments run one after the other, each as a task of its own. */
export interface LockCase {
  readonly id: string;
  readonly segments: readonly (readonly CaseOp[])[];
  /** The operations as written, for places in reports. */
  readonly texts: readonly (readonly string[])[];
  readonly expected: 'violation' | 'ok';
  /** Class by instance name, for instances that share one. */
  readonly classOf: ReadonlyMap<string, string>;
  /** Whether read_lock() counts as recursive. */
  readonly recursiveReadLock: boolean;
  /** Why the case cannot be run, null when it can. */
  readonly unsupported: string | null;
}

/** Other keys say where a case comes from; they are not looked at. */
const CASE = z.looseObject({
  id: z.string().min(1),
  threads: z.array(z.array(z.array(z.unknown()).min(1))).min(1),
  expect: z.enum(['violation', 'ok']),
  tier: z.int().min(1).max(3).optional(),
  classOf: z.record(z.string(), z.string().min(1)).optional(),
  env: z.looseObject({ read_lock_recursive: z.boolean().optional() }).optional(),
});
type CaseRecord = z.infer<typeof CASE>;

/** Cases of a file, in order. @throws UsageError (see parseCases) */
export function readCaseFile(file: string): LockCase[] {
  let contents: string;
  try {
    contents = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
  return parseCases(contents, file);
}

/** Cases of the contents of `file`, in order; blank lines are skipped. @throws UsageError `file:line: field: reason` */
export function parseCases(contents: string, file: string): LockCase[] {
  const lineOfId = new Map<string, number>();
  const cases: LockCase[] = [];
  for (const [i, text] of contents.split('\n').entries()) {
    if (text.trim() === '') continue;
    const where = `${file}:${i + 1}`;
    const lockCase = readCase(text, where);
    const earlier = lineOfId.get(lockCase.id);
    if (earlier !== undefined) throw new UsageError(`${where}: id: '${lockCase.id}' is on line ${earlier} already`);
    lineOfId.set(lockCase.id, i + 1);
    cases.push(lockCase);
  }
  return cases;
}

function shown(part: unknown): string {
  return typeof part === 'string' ? part : JSON.stringify(part);
}

function readCase(text: string, where: string): LockCase {
  const record = checked(parseLine(text, where), where);
  const segments = record.threads.map((segment, s) =>
    segment.map((op, i) => {
      try {
        return readOp(op);
      } catch (error) {
        if (!(error instanceof MalformedOp)) throw error;
        throw new UsageError(`${where}: threads[${s}][${i}]: ${error.message}`);
      }
    }),
  );
  return {
    id: record.id,
    segments,
    texts: record.threads.map((segment) => segment.map((op) => op.map(shown).join(' '))),
    expected: record.expect,
    classOf: new Map(Object.entries(record.classOf ?? {})),
    recursiveReadLock: record.env?.read_lock_recursive ?? false,
    unsupported: whyUnsupported(segments, record.tier),
  };
}

function parseLine(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${where}: not JSON: ${(error as Error).message}`);
  }
}

function checked(value: unknown, where: string): CaseRecord {
  const { data, error } = CASE.safeParse(value);
  if (data !== undefined) return data;
  const { path, message } = error.issues[0];
  const field = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  throw new UsageError(`${where}: ${field === '' ? '' : `${field.slice(1)}: `}${message}`);
}

function whyUnsupported(segments: readonly (readonly CaseOp[])[], tier: number | undefined): string | null {
  const features = segments.flat().flatMap((op) => (op.verb === 'unsupported' ? [op.feature] : []));
  if (features.length > 0) return `not simulated: ${[...new Set(features)].sort().join(', ')}`;
  const locks = new Set(segments.flat().flatMap(locksOf));
  if (locks.size > MAX_NODES) return `more than ${MAX_NODES} locks`;
  return tier !== undefined && tier > 1 ? `not simulated: what tier ${tier} needs beyond its operations` : null;
}
