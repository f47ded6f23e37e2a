/**
 * How a process's window is shared among the CPUs. Every CPU reads and writes everywhere, but only a lane's owner changes
 * mappings in it and only the owner writes the owner's word of its pages: so the owner knows exactly what it must read,
 * whatever the others do at the same time. VMAs and page tables know nothing of lanes: neighbours merge across them and
 * share tables.
 *
 *   [0, SMALL_PAGES)              small lanes of LANE_PAGES, owner = lane mod CPUs
 *   [SMALL_PAGES, LANES_END)      one big lane of BIG_PAGES per CPU: aligned 2 MiB blocks that move as whole tables
 *   [LANES_END, SHARED_END)       one shared lane of SHARED_LANE_PAGES per CPU: nothing but shared mappings
 *   [SHARED_END, HUGE_END)        one huge lane per CPU: two huge pages, outside the shadow model
 *   [HUGE_END, WINDOW_END)        placement area: what mmap without an address gets; each mapping belongs to its caller
 */

import type { Prng } from '../src/base/prng.ts';

export const LANE_PAGES = 32;
export const SMALL_PAGES = 1024;
export const BIG_PAGES = 1024;
const BIG_LANES = 16;
const LANES_END = SMALL_PAGES + BIG_LANES * BIG_PAGES;
export const SHARED_LANE_PAGES = 32;
const SHARED_END = LANES_END + BIG_LANES * SHARED_LANE_PAGES;
export const HUGE_LANE_PAGES = 1024;
const HUGE_END = SHARED_END + BIG_LANES * HUGE_LANE_PAGES;
export const WINDOW_END = HUGE_END + 16384;
/** Pages the shadow model covers: all lanes but the huge ones. */
export const WINDOW_PAGES = SHARED_END;

const SMALL_LANES = SMALL_PAGES / LANE_PAGES;

/** A range of pages, [start, start + pages). */
export interface PageRange {
  readonly start: number;
  readonly pages: number;
}

/** CPU that owns the lane of a page. */
export function laneOwner(page: number, cpus: number): number {
  if (page < SMALL_PAGES) return Math.floor(page / LANE_PAGES) % cpus;
  if (page < LANES_END) return Math.floor((page - SMALL_PAGES) / BIG_PAGES) % cpus;
  return Math.floor((page - LANES_END) / SHARED_LANE_PAGES) % cpus;
}

/** First page of the shared lane of `cpu`. */
export function sharedLane(cpu: number): number {
  return LANES_END + cpu * SHARED_LANE_PAGES;
}

/** First page of the huge lane of `cpu`, at the boundary of a huge page. */
export function hugeLane(cpu: number): number {
  return SHARED_END + cpu * HUGE_LANE_PAGES;
}

/** Some page of the shared lanes in use by `cpus` CPUs, one of the own lane more often than not. */
export function drawSharedPage(cpu: number, cpus: number, prng: Prng): number {
  const lane = prng.chance(0.75) ? cpu : prng.below(cpus);
  return sharedLane(lane) + prng.below(SHARED_LANE_PAGES);
}

/** A range inside the own shared lane. */
export function drawSharedRange(cpu: number, prng: Prng): PageRange {
  const pages = 1 + prng.below(prng.chance(0.5) ? 4 : SHARED_LANE_PAGES);
  return { start: sharedLane(cpu) + prng.below(SHARED_LANE_PAGES - pages + 1), pages };
}

/** First page of one of the small lanes of `cpu`. */
export function drawOwnLane(cpu: number, cpus: number, prng: Prng): number {
  const own = Math.floor((SMALL_LANES - 1 - cpu) / cpus) + 1;
  return (cpu + prng.below(own) * cpus) * LANE_PAGES;
}

/** A range inside one own small lane, 1 page to the whole lane, short ones more often. */
export function drawOwnRange(cpu: number, cpus: number, prng: Prng): PageRange {
  const lane = drawOwnLane(cpu, cpus, prng);
  const longest = prng.chance(0.5) ? 4 : LANE_PAGES;
  const pages = 1 + prng.below(longest);
  return { start: lane + prng.below(LANE_PAGES - pages + 1), pages };
}

/** First page of the big lane of `cpu`. */
export function bigLane(cpu: number): number {
  return SMALL_PAGES + cpu * BIG_PAGES;
}

/** Any page of the lanes in use by `cpus` CPUs, the small ones mostly. */
export function drawPage(cpus: number, prng: Prng): number {
  return prng.chance(0.9) ? prng.below(SMALL_PAGES) : SMALL_PAGES + prng.below(cpus * BIG_PAGES);
}
