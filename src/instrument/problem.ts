/** What the pass refuses. Every problem names its place and its rule; a file's problems are reported together. */

/** One refusal. `line` counts from 1, `column` from 1, as editors do. */
export interface Problem {
  readonly rule: Rule;
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Every rule of the pass, with what it keeps from going wrong. */
export const RULES = {
  syntax: 'the file does not parse',
  'marker-import': 'Sim and Access are known by their declaration, so the module they come from must be found',
  'marker-position': 'Sim and Access are return types and nothing else: elsewhere the pass could not follow them',
  'return-type': 'a function that calls Sim or Access functions writes its return type: that is how the pass knows it',
  'sim-in-plain': 'only a Sim function can be preempted, so only a Sim function may call one',
  'access-in-plain': 'a shared access outside a Sim or Access function would have no scheduling point',
  'sim-in-access': 'an Access function is one step for the scheduler and cannot be preempted inside',
  'not-a-body': 'default parameters, field initialisers, decorators and the like cannot be preempted',
  'async-sim': 'a Sim or Access function is neither async nor a generator',
  'accessor-sim': 'getters, setters and constructors cannot be preempted',
  'sim-name': 'a Sim method needs a name that can be written, because calls are known by it',
  'arrow-context': 'a Sim arrow becomes a function: this, super, arguments and new.target would change their meaning',
  'sim-value': 'a Sim or Access function may be handed on only where the declared type says the same',
  'plain-value': 'where a Sim or Access function is expected, only one can be given',
  'untyped-variable': 'a variable that holds a Sim or Access function says so in its type',
  'undecidable-call': 'it must be known of every called function whether it can be preempted',
  'mixed-call': 'one call cannot be both: all functions it may reach must be of one kind',
  'name-conflict': 'member calls are known by name, so one name cannot be a Sim, an Access and a plain function',
  'builtin-name': 'a built-in object has a method of this name, and member calls are known by name',
  overload: 'all overloads of a function are of one kind',
  'raw-access': 'in a Sim function shared memory is touched only through Access functions',
  'optional-chain': 'a Sim or Access call may end an optional chain, not stand inside it',
  'tagged-template': 'a Sim or Access function cannot be a template tag',
  'new-sim': 'a Sim or Access function is not a constructor',
  'dynamic-import': 'a module with Sim or Access functions is imported statically',
  'namespace-value': 'the namespace of a module with Sim or Access functions is used only as `name.function(...)`',
  'taken-name': 'the pass needs this name for itself',
} as const;

export type Rule = keyof typeof RULES;

/** Ends a build: one or more problems of one file. */
export class InstrumentError extends Error {
  override name = 'InstrumentError';
  readonly problems: readonly Problem[];
  /** Place of the first problem, in the form bundlers print. */
  readonly loc: { file: string; line: number; column: number };

  /** @param problems at least one */
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
    const { file, line, column } = problems[0];
    this.loc = { file, line, column: column - 1 };
  }
}

/** `file:line:column: message [rule]`, then what the rule is for. */
function formatProblem(problem: Problem): string {
  const { file, line, column, message, rule } = problem;
  return `${file}:${line}:${column}: ${message} [${rule}]\n    ${RULES[rule]}`;
}

/** Line and column (both from 1) of an offset. CRLF, LF and CR end a line. */
export function positionAt(code: string, offset: number): { line: number; column: number } {
  const before = code.slice(0, offset);
  const lines = before.split(/\r\n|\n|\r/);
  return { line: lines.length, column: lines[lines.length - 1].length + 1 };
}
