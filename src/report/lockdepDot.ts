/** The learned lock order as a Graphviz graph: `mmstorm locks --dot | dot -Tsvg`. */

import type { Agreement, Learned } from '../lockdep/learnedOrder.ts';

const EDGE_STYLE: Record<Agreement, string> = {
  documented: '',
  'same rank': ', style=dashed',
  against: ', color=red, fontcolor=red',
};

/** One node per class and subclass, grouped by documented rank; one edge per order, labelled with its kinds. */
export function lockOrderDot({ classes, order }: Learned): string {
  const ranks = [...new Set(classes.map(({ cls }) => cls.rank))];
  const rows = ranks.map((rank) => {
    const names = classes.filter(({ cls }) => cls.rank === rank).map(({ name }) => `${quoted(name)};`);
    return `  { rank=same; ${names.join(' ')} }`;
  });
  const edges = order.map(({ from, to, kinds, agreement }) => {
    return `  ${quoted(from)} -> ${quoted(to)} [label=${quoted(kinds.join(' '))}${EDGE_STYLE[agreement]}];`;
  });
  return ['digraph locks {', '  node [shape=box];', ...rows, ...edges, '}', ''].join('\n');
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
