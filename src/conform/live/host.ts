/** What the host allows, and the settings a recording needs; each is put back afterwards. */

import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';

const KSM = '/sys/kernel/mm/ksm';
const HUGE_PAGES = '/proc/sys/vm/nr_hugepages';
const HUGE_POOL = '/sys/kernel/mm/hugepages/hugepages-2048kB';
/** Free, unreserved huge pages with which each case of hugetlb mappings starts. */
const HUGE_PAGES_PER_CASE = '6';
/** As the recorded traces were made (format, section 3), and fast. */
const KSM_SETTINGS: readonly [file: string, value: string][] = [
  ['run', '0'],
  ['use_zero_pages', '0'],
  ['smart_scan', '0'],
  ['max_page_sharing', '256'],
  ['sleep_millisecs', '0'],
  ['pages_to_scan', '5000'],
];

/** `Linux 6.18.1 x86_64, ...`: what the header of a recording says. */
export function hostKernel(): string {
  return `Linux ${release()} x86_64, 4 KiB pages`;
}

/** Largest RLIMIT_MEMLOCK a process can have, in pages; null: none. */
export function memlockLimit(): number | null {
  const line = /^Max locked memory\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return line === null || line[1] === 'unlimited' ? null : Math.floor(Number(line[1]) / 4096);
}

/** Settings of the running kernel that were changed, to be put back. */
export class HostSettings {
  private readonly changed: [path: string, value: string][] = [];

  /** Sets up KSM. Returns why it is not possible, or null. */
  prepareKsm(): string | null {
    try {
      accessSync(`${KSM}/run`, constants.W_OK);
      for (const [file, value] of KSM_SETTINGS) this.set(`${KSM}/${file}`, value);
      return null;
    } catch (error) {
      return `KSM cannot be set up on this host (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
    }
  }

  /** Sets up the pool of huge pages. Returns why it is not possible, or null. */
  prepareHugePages(): string | null {
    try {
      this.set(HUGE_PAGES, HUGE_PAGES_PER_CASE);
      return hugePoolProblem();
    } catch (error) {
      return `the pool of huge pages cannot be set on this host (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
    }
  }

  /** Puts everything back, last change first. */
  restore(): void {
    for (const [path, value] of this.changed.splice(0).reverse()) writeFileSync(path, value);
  }

  private set(path: string, value: string): void {
    const old = readFileSync(path, 'latin1').trim();
    if (old === value) return;
    writeFileSync(path, value);
    this.changed.push([path, old]);
  }
}

/** Why a case of hugetlb mappings cannot start now, or null. */
export function hugePoolProblem(): string | null {
  const read = (file: string): string => readFileSync(`${HUGE_POOL}/${file}`, 'latin1').trim();
  const pool = {
    free: read('free_hugepages'),
    reserved: read('resv_hugepages'),
    more: read('nr_overcommit_hugepages'),
  };
  if (pool.free === HUGE_PAGES_PER_CASE && pool.reserved === '0' && pool.more === '0') return null;
  return `the pool of huge pages has ${pool.free} free and ${pool.reserved} reserved pages, not ${HUGE_PAGES_PER_CASE} and 0`;
}
