/** From the text of an option to its value. Each throws commander's InvalidArgumentError, which names the option. */
import { InvalidArgumentError } from 'commander';
import { parseRuleSetting, type RuleSetting } from '../rules/resolve.ts';

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const MAX_DURATION_MS = 7 * 24 * UNIT_MS.h;

/** Decimal or 0x hexadecimal, below 2^53. */
export function parseSeed(text: string): number {
  const seed = /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(seed)) throw new InvalidArgumentError('A seed is a decimal or 0x number below 2^53.');
  return seed;
}

/** `10s`, `500ms`, `2m`, `1.5h`: milliseconds, at least 1 and at most a week. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('A duration is a number with a unit: 500ms, 10s, 2m, 1h.');
  const ms = Math.round(Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]);
  if (ms < 1 || ms > MAX_DURATION_MS) throw new InvalidArgumentError('A duration is between 1ms and 168h.');
  return ms;
}

/** Parser of a whole number in [min, max]. */
export function countBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const count = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(count >= min && count <= max)) throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
    return count;
  };
}

/** A probability: 0 to 1. */
export function parseRate(text: string): number {
  const rate = /^(\d+\.?\d*|\.\d+)(e-\d+)?$/i.test(text) ? Number(text) : NaN;
  if (!(rate >= 0 && rate <= 1)) throw new InvalidArgumentError('A rate is a number from 0 to 1.');
  return rate;
}

/** Collects repeated `--set rule=value`; rule and value are checked at once. */
export function collectSetting(text: string, previous: readonly RuleSetting[] = []): RuleSetting[] {
  return [...previous, parseRuleSetting(text)];
}
