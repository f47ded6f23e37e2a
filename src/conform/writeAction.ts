/** A step in the notation of a trace file (format, section 3): the inverse of readAction. */

import type { Action, Operand } from './traceFormat.ts';

/** A step as the file writes it: `op` and its operands, without result and delta. */
export type StepRecord = Readonly<Record<string, unknown>> & { readonly op: string };

/** The step; operands that are absent stay absent. */
export function writeAction(action: Action): StepRecord {
  const record: Record<string, unknown> = {};
  if ('p' in action) record['p'] = action.p;
  if ('at' in action && action.at !== null) record['at'] = writeOperand(action.at);
  if ('page' in action) record['at'] = action.page;
  if ('len' in action) record['len'] = writeOperand(action.len);
  if ('newLen' in action) record['new'] = writeOperand(action.newLen);
  if ('prot' in action) record['prot'] = action.prot;
  if ('shared' in action && action.shared) record['shared'] = 1;
  // Only mmap leaves out what is empty.
  if ('flags' in action && (action.op !== 'mmap' || action.flags.length > 0)) record['flags'] = action.flags;
  if ('to' in action && action.to !== null) record['to'] = writeOperand(action.to);
  if ('advice' in action) record['advice'] = action.advice;
  if ('value' in action) record['val'] = action.value;
  if ('child' in action) record['child'] = action.child;
  if ('id' in action) record['id'] = action.id;
  return { op: action.op, ...record };
}

function writeOperand({ text }: Operand): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}
