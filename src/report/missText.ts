/** The chance that a search missed a bug, in words. */

export interface Miss {
  readonly depth: number;
  readonly probability: number;
}

/** `3 % at depth 2, 40 % at depth 3`. */
export function missText(misses: readonly Miss[]): string {
  return misses.map(({ depth, probability }) => `${percent(probability)} at depth ${depth}`).join(', ');
}

function percent(probability: number): string {
  const value = probability * 100;
  return `${value < 1 ? value.toPrecision(1) : value.toFixed(0)} %`;
}
