/** Option values: what is accepted, what is refused. */
import { describe, expect, it } from 'vitest';
import { countBetween, parseDuration, parseRate, parseSeed } from '../../src/cli/parse.ts';

type Case<T> = [text: string, value: T | 'refused'];

function outcome<T>(parse: (text: string) => T, text: string): T | 'refused' {
  try {
    return parse(text);
  } catch {
    return 'refused';
  }
}

describe('seed', () => {
  const cases: Case<number>[] = [
    ['0', 0],
    ['42', 42],
    ['0xFF', 255],
    ['9007199254740991', 2 ** 53 - 1],
    ['9007199254740992', 'refused'],
    ['-1', 'refused'],
    ['1.5', 'refused'],
    ['1e3', 'refused'],
    ['', 'refused'],
    ['0x', 'refused'],
    ['NaN', 'refused'],
  ];
  it.each(cases)('%j is %j', (text, value) => expect(outcome(parseSeed, text)).toBe(value));
});

describe('duration', () => {
  const cases: Case<number>[] = [
    ['500ms', 500],
    ['10s', 10_000],
    ['1.5m', 90_000],
    ['168h', 604_800_000],
    ['169h', 'refused'],
    ['0s', 'refused'],
    ['0.2ms', 'refused'],
    ['10', 'refused'],
    ['s', 'refused'],
    ['-1s', 'refused'],
    ['10 s', 'refused'],
  ];
  it.each(cases)('%j is %j', (text, value) => expect(outcome(parseDuration, text)).toBe(value));
});

describe('count', () => {
  const cases: Case<number>[] = [
    ['1', 1],
    ['64', 64],
    ['65', 'refused'],
    ['0', 'refused'],
    ['-3', 'refused'],
    ['1e1', 'refused'],
    ['99999999999999999999999', 'refused'],
  ];
  it.each(cases)('%j is %j', (text, value) => expect(outcome(countBetween(1, 64), text)).toBe(value));
});

describe('rate', () => {
  const cases: Case<number>[] = [
    ['0', 0],
    ['1', 1],
    ['.5', 0.5],
    ['1e-3', 0.001],
    ['1.01', 'refused'],
    ['-0.1', 'refused'],
    ['half', 'refused'],
  ];
  it.each(cases)('%j is %j', (text, value) => expect(outcome(parseRate, text)).toBe(value));
});
