/** Steps, results, VMAs and pages as one-line texts. */

import type { Action, PageState, Result, VmaState } from './traceFormat.ts';

/** `mremap(p0, at 4093, len 1, new 2, maymove|fixed, to 7)`. */
function describeAction(action: Action): string {
  const words: string[] = 'p' in action ? [`p${action.p}`] : [];
  if ('at' in action && action.at !== null) words.push(`at ${action.at.text}`);
  if ('page' in action) words.push(`at ${action.page}`);
  if ('len' in action) words.push(`len ${action.len.text}`);
  if ('newLen' in action) words.push(`new ${action.newLen.text}`);
  if ('prot' in action) words.push(action.prot);
  if ('shared' in action && action.shared) words.push('shared');
  if ('flags' in action && action.flags.length > 0) words.push(action.flags.join('|'));
  if ('to' in action && action.to !== null) words.push(`to ${action.to.text}`);
  if ('advice' in action) words.push(action.advice);
  if ('value' in action) words.push(`value ${action.value}`);
  if ('child' in action) words.push(`child ${action.child}`);
  if ('id' in action) words.push(`pin ${action.id}`);
  return `${action.op}(${words.join(', ')})`;
}

/** `mremap(...) = EINVAL`; without the result if none is given. */
export function describeStep(action: Action, result?: Result): string {
  return result === undefined ? describeAction(action) : `${describeAction(action)} = ${result}`;
}

/** `f0 xe 64`: label, letters, stamp; `f0 *2 64` for a frame that is mapped twice; `z` for the zero page. */
export function describePage({ frame, mapcount, letters, stamp }: PageState): string {
  if (frame === 'z' && mapcount === 0 && letters === '' && stamp === 0) return 'z';
  const label = frame === 'z' ? 'z' : `f${frame}`;
  const times = mapcount === 1 ? '' : ` *${mapcount}`;
  return `${label}${letters === '' ? '' : ` ${letters}`}${times} ${stamp}`;
}

/** VMA as a JSON value, in the notation of the trace format. */
export function vmaRow({ start, end, perms, flags, object, offset }: VmaState): (number | string)[] {
  const row = [start, end, perms, flags];
  return object === null || offset === null ? row : [...row, object, offset];
}

/** Page as a JSON value: index, frame, mapcount, letters, stamp. */
export function pageRow(index: number, { frame, mapcount, letters, stamp }: PageState): (number | string)[] {
  return [index, frame, mapcount, letters, stamp];
}
