/** `mmstorm locks`: the lock classes, the order that a run teaches lockdep, and its distance to the documented hierarchy. */
import { Option } from 'commander';
import { learnLocks } from '../../../stress/learnLocks.ts';
import type { Violation } from '../../base/finding.ts';
import { learnedOrder, type Learned, type LearnedOrder } from '../../lockdep/learnedOrder.ts';
import { callerFrame } from '../../lockdep/trace.ts';
import { lockOrderDot } from '../../report/lockdepDot.ts';
import type { CliCommand } from '../command.ts';
import { ExitCode } from '../exitCode.ts';
import {
  colorOption,
  countOption,
  jsonOption,
  kernelOption,
  outputOption,
  seedOption,
  setOption,
  type ColorMode,
} from '../options.ts';
import { colorsFor, emit, jsonText, type Colors } from '../output.ts';
import { resolveRules, type RuleOptions } from '../ruleOptions.ts';
import { renderTable } from '../../report/table.ts';

/** Enough for every operation of the mix to have met every state of a process that matters to locks. */
const DEFAULT_OPERATIONS = 4000;
/** Fixed, not drawn: the same command shows the same order. */
const DEFAULT_SEED = 1;

interface Options extends RuleOptions {
  seed: number;
  ops: number;
  dot?: true;
  json?: true;
  output?: string;
  color: ColorMode;
}

interface Run {
  readonly kernel: string;
  readonly seed: number;
  readonly ops: number;
  readonly learned: Learned;
  readonly violations: readonly Violation[];
}

export const command: CliCommand = {
  build(command, bind) {
    command.addOption(kernelOption()).addOption(setOption()).addOption(seedOption().default(DEFAULT_SEED));
    command.addOption(countOption('--ops <n>', 'operations to learn from').default(DEFAULT_OPERATIONS));
    command.addOption(new Option('--dot', 'the order as a Graphviz graph').conflicts('json'));
    command.addOption(jsonOption()).addOption(outputOption()).addOption(colorOption());
    bind<Options>(command, run);
  },
};

function run(options: Options): ExitCode {
  const { kernel, rules } = resolveRules(options);
  const { seed, ops, dot, json, output, color } = options;
  const { heap, violations } = learnLocks({ rules, seed, operations: ops });
  const done: Run = { kernel, seed, ops, learned: learnedOrder(heap), violations };
  if (dot) emit(lockOrderDot(done.learned), output);
  else if (json) emit(jsonText(toJson(done)), output);
  else emit(humanText(done, colorsFor(process.stdout, color)), output);
  return violations.length === 0 ? ExitCode.ok : ExitCode.findings;
}

function toJson({ kernel, seed, ops, learned, violations }: Run): object {
  const { classes, order, ...statistics } = learned;
  return {
    schema: 'mmstorm/locks/1',
    command: 'locks',
    kernel,
    seed,
    operations: ops,
    classes: classes.map(({ name, cls, taken, inside, outside }) => {
      const { family, rank, source } = cls;
      return { name, family, rank, source, taken, inside, outside };
    }),
    order,
    against: order.filter(({ agreement }) => agreement === 'against').length,
    statistics,
    violations,
  };
}

function humanText({ kernel, seed, ops, learned, violations }: Run, colors: Colors): string {
  const { classes, order, chains, searches, longestSearch } = learned;
  const classRows = classes.map(({ name, cls, taken, inside, outside }) => [
    name,
    cls.family,
    String(cls.rank),
    taken.join(' '),
    String(inside),
    String(outside),
    cls.source,
  ]);
  const classHead = ['class', 'family', 'rank', 'taken for', 'inside', 'outside', 'declared in'];
  const orderHead = ['held', 'taken inside', 'kinds', 'documents', 'first by'];
  return [
    renderTable(classHead, classRows, colors),
    '\n',
    renderTable(orderHead, order.map(orderRow), colors),
    '\n',
    ...violations.map(
      ({ title, evidence }) => `${colors.red(title)}\n${evidence.map((line) => `  ${line}\n`).join('')}\n`,
    ),
    `${kernel}, seed ${seed}, ${ops} operations: ${chains} lock chains, ${searches} searches for a cycle, `,
    `the longest over ${longestSearch} classes\n`,
    `${distanceText(order)}\n`,
  ].join('');
}

function orderRow({ from, to, kinds, agreement, trace }: LearnedOrder): string[] {
  return [from, to, kinds.join(' '), agreement, callerFrame(trace)?.replace(/^(.*?)@(.*)$/, '$1 ($2)') ?? ''];
}

/** How far the learned order is from the documented hierarchy. */
function distanceText(order: readonly LearnedOrder[]): string {
  const count = (wanted: LearnedOrder['agreement']): number =>
    order.filter(({ agreement }) => agreement === wanted).length;
  return (
    `${order.length} orders learned: ${count('documented')} as documented, ${count('same rank')} between classes of one rank, ` +
    `${count('against')} against the documents`
  );
}
