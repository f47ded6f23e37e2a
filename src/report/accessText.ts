/** One access in words: what is read, what changes from what to what. */

import { placeName } from '../check/wordNames.ts';
import type { AccessEvent, AccessName } from './trace.ts';

/** How the access is made, where that says more than read and write. */
const MANNER: Partial<Record<AccessName, string>> = {
  readOnce: 'READ_ONCE',
  writeOnce: 'WRITE_ONCE',
  acquire: 'acquire',
  release: 'release',
  rmw: 'atomic',
  casFailed: 'failed cmpxchg',
};

/** `vma#1.vm_start 16 → 17`, `reads vma#1.vm_start: 17`. @param withManner says how, too */
export function accessText(event: AccessEvent, withManner = false): string {
  const manner = withManner ? MANNER[event.access] : undefined;
  const text = plainText(event);
  return manner === undefined ? text : `${text} [${manner}]`;
}

function plainText(event: AccessEvent): string {
  const { access, place } = event;
  const name = placeName(place, false);
  switch (access) {
    case 'alloc':
      return `allocates ${place.object}`;
    case 'free':
      return `frees ${place.object.replace(/ \(freed\)$/, '')}`;
    case 'fence':
      return 'smp_mb()';
    case 'park':
      return `looks at ${name} before it sleeps`;
    case 'wake':
      return `wakes who sleeps on ${name}`;
    case 'casFailed':
      return `finds ${name}: ${event.is}`;
    default:
      return event.writes ? `${name} ${changeText(event)}` : `reads ${name}: ${event.is}`;
  }
}

/** What a write changed: `16 → 17`; of flags only those that did. */
export function changeText({ was, is, before, after }: AccessEvent): string {
  if (before === after) return `= ${is}`;
  const flags = flagChange(was, is);
  return flags === '' ? `${was} → ${is}` : flags;
}

function flagChange(was: string, is: string): string {
  if (!/^PG_|^none$/.test(was) || !/^PG_|^none$/.test(is)) return '';
  const [old, now] = [was.split('|'), is.split('|')];
  const set = now.filter((flag) => flag !== 'none' && !old.includes(flag)).map((flag) => `+${flag}`);
  const cleared = old.filter((flag) => flag !== 'none' && !now.includes(flag)).map((flag) => `-${flag}`);
  return [...set, ...cleared].join(' ');
}
