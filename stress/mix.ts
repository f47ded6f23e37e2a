/** A weighted mix of operations: `fork=1,mremap=4`, drawn from the task's generator. */

import type { Prng } from '../src/base/prng.ts';
import { UsageError } from '../src/base/usageError.ts';
import { OPERATIONS, OPERATION_NAMES, OP, type OperationName } from './operations.ts';

/** Weight per operation code. */
export type Mix = readonly number[];

const MAX_WEIGHT = 1_000_000;

/** The default weights. */
export function defaultMix(): Mix {
  return OPERATIONS.map(({ weight }) => weight);
}

/**
 * Reads `op=weight,...`: the operations named get these weights, the others keep their default; `only` starts from zero:
 * `only,fork=1,write=3`.
 * @throws UsageError naming the part that is wrong
 */
export function parseMix(text: string): Mix {
  const parts = text.split(',').map((part) => part.trim());
  const weights = parts[0] === 'only' ? OPERATIONS.map(() => 0) : [...defaultMix()];
  for (const part of parts[0] === 'only' ? parts.slice(1) : parts) {
    const [name, value, ...rest] = part.split('=') as [string, ...string[]];
    if (value === undefined || rest.length > 0) throw new UsageError(`mix: expected operation=weight, not '${part}'`);
    if (!isOperation(name)) {
      throw new UsageError(`mix: unknown operation '${name}' (known: ${OPERATION_NAMES.join(', ')})`);
    }
    weights[OP[name]] = parseWeight(name, value);
  }
  if (weights.every((weight) => weight === 0)) throw new UsageError('mix: every weight is zero');
  return weights;
}

/** The mix as parseMix reads it. */
export function formatMix(mix: Mix): string {
  const named = OPERATION_NAMES.map((name, code) => `${name}=${mix[code]}`).filter((part) => !part.endsWith('=0'));
  return ['only', ...named].join(',');
}

/** Draws an operation code. */
export function drawOperation(mix: Mix, total: number, prng: Prng): number {
  let left = prng.below(total);
  for (let code = 0; code < mix.length; code++) {
    left -= mix[code];
    if (left < 0) return code;
  }
  return 0;
}

/** Sum of the weights. */
export function mixTotal(mix: Mix): number {
  return mix.reduce((sum, weight) => sum + weight, 0);
}

function isOperation(name: string): name is OperationName {
  return (OPERATION_NAMES as readonly string[]).includes(name);
}

function parseWeight(name: string, text: string): number {
  const weight = Number(text);
  if (!/^\d+$/.test(text) || weight > MAX_WEIGHT) {
    throw new UsageError(`mix: the weight of ${name} must be a whole number from 0 to ${MAX_WEIGHT}, not '${text}'`);
  }
  return weight;
}
