/** What must hold of every state of a machine at rest, whatever was done to it (trace format, section 9). */
import type { ObservedPage, ObservedProcess } from '../observe.ts';

/** Contradictions between VMAs, page tables and counts, as texts. */
export function observedProblems(observed: ReadonlyMap<number, ObservedProcess>): string[] {
  const problems: string[] = [];
  const mappings = new Map<string, ObservedPage[]>();
  for (const [p, { vmas, pages, leftovers }] of observed) {
    for (const [i, { start, end }] of vmas.entries()) {
      if (start >= end || start < (vmas[i - 1]?.end ?? 0)) problems.push(`p${p}: VMA ${start} overlaps or is empty`);
    }
    for (const page of pages) {
      if (!vmas.some(({ start, end }) => start <= page.page && page.page < end)) {
        problems.push(`p${p}: page ${page.page} lies in no VMA`);
      }
      if (page.frame !== null) mappings.set(page.frame, [...(mappings.get(page.frame) ?? []), page]);
    }
    problems.push(...leftovers.map((page) => `p${p}: page ${page} has an entry left over`));
  }
  for (const [frame, pages] of mappings) {
    const [{ mapcount, letters }] = pages as [ObservedPage];
    if (mapcount !== pages.length)
      problems.push(`frame ${frame} has mapcount ${mapcount}, mapped ${pages.length} times`);
    if (letters.includes('e') && pages.length > 1) problems.push(`frame ${frame} is exclusive and shared`);
  }
  return problems;
}
