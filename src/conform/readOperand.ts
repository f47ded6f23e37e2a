/** The notation of addresses and lengths: a page index, `I+B` (pages and bytes), `@H` (absolute bytes, hexadecimal). */

import { Malformed } from './malformed.ts';
import { PAGE_BYTES, TASK_SIZE, WINDOW_BASE, type Operand } from './traceFormat.ts';

/** As many pages as an address space has: what lies above is written as bytes. */
const MAX_PAGES = TASK_SIZE / PAGE_BYTES;

/** An address; page indexes count from the window's base. @throws Malformed */
export function readAddress(value: unknown, field: string): Operand {
  return readOperand(value, field, WINDOW_BASE);
}

/** A number of pages, of pages and bytes, or of bytes. @throws Malformed */
export function readLength(value: unknown, field: string): Operand {
  return readOperand(value, field, 0);
}

function readOperand(value: unknown, field: string, base: number): Operand {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_PAGES) {
    return { text: String(value), bytes: base + value * PAGE_BYTES };
  }
  if (typeof value === 'string') {
    const bytes = bytesOf(value, base);
    if (bytes !== null) return { text: value, bytes };
  }
  const shown = JSON.stringify(value) ?? 'nothing';
  throw new Malformed(field, `expected a number of pages, "I+B" or "@H", not ${shown.slice(0, 40)}`);
}

function bytesOf(text: string, base: number): number | null {
  const absolute = /^@([\da-f]{1,16})$/.exec(text);
  if (absolute !== null) return roundToDouble(BigInt(`0x${absolute[1]}`));
  const offset = /^(\d{1,11})\+(\d{1,4})$/.exec(text);
  if (offset === null) return null;
  const [pages, bytes] = [Number(offset[1]), Number(offset[2])];
  return pages <= MAX_PAGES && bytes < PAGE_BYTES ? base + pages * PAGE_BYTES + bytes : null;
}

/**
 * A 64-bit number as a double. Doubles near 2^64 lie 2048 apart, so the exact byte in its page cannot be kept; that it is
 * not the first one can, and the system calls look at nothing else.
 */
function roundToDouble(bytes: bigint): number {
  if (bytes <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(bytes);
  const page = bytes - (bytes % BigInt(PAGE_BYTES));
  return Number(page) + (page === bytes ? 0 : PAGE_BYTES / 2);
}
