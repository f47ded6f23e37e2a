/** Reading a scene from a file: every field is checked, for files are damaged and edited. */

import * as z from 'zod';
import type { Scene } from '../../src/report/sceneDocument.ts';
import { OPERATION_NAMES } from '../operations.ts';

/** Pages are small whole numbers: what a scenario can hold. */
const PAGE = z.number().int().nonnegative().max(0xf_ffff);
const NUMBER = z.number().int().nonnegative();

const SCENE_RANGE = z.strictObject({ start: NUMBER, end: PAGE, prot: z.enum(['rw', 'r', 'none']) });
const SCENE_FRAME = z.strictObject({ page: PAGE, pfn: NUMBER });

const SCENE_PROCESS = z.strictObject({
  number: NUMBER,
  parent: NUMBER,
  isStarting: z.boolean(),
  ranges: z.array(SCENE_RANGE).max(256),
  frames: z.array(SCENE_FRAME).max(1024),
});

const SCENE_OPERATION = z.strictObject({
  cpu: NUMBER,
  op: z.enum(OPERATION_NAMES as [string, ...string[]]),
  running: z.boolean(),
  process: NUMBER,
  page: PAGE.optional(),
  pages: z.number().int().nonnegative().max(4096),
  detail: z.number().int().optional(),
});

export const SCENE = z.strictObject({
  place: z.strictObject({ process: NUMBER, page: PAGE }),
  processes: z.array(SCENE_PROCESS).min(1).max(16),
  operations: z.array(SCENE_OPERATION).min(1).max(128),
}) satisfies z.ZodType<Scene>;
