/**
 * Where the running code is: the JavaScript stack as `function@file:line`. Capturing one takes tens of microseconds, so it
 * is done only when something is learned for the first time.
 */

const MAX_FRAMES = 8;
/** Frames V8 collects: lockdep's own come first, the helpers of a test runner lie below those of interest. */
const COLLECTED_FRAMES = 32;
const FRAME = /^\s*at (?:(?:async |new )?(.*?) \()?(.*?):(\d+):\d+\)?$/;
const PROJECT_PATH = /(?:^|\/)((?:src|workers|stress|bench|test|dist)\/[^?]*)/;
const FOREIGN = /(?:^|\/)node_modules\/|^node:|\(?native/;
/** Between two generators of the explored build. */
const GENERATOR_FRAME = /\.next \(<anonymous>\)$/;
/** A method of the hook, or of the guard that the explored build puts around it: the frames of interest begin below. */
const HOOK_FRAME = /^\s*at (?:Lockdep\.|.*\bhookGuard\.explored\.)/;

/** Says where the running code is, innermost frame first, without lockdep's own frames. */
export type TraceSource = () => readonly string[];

/** The JavaScript stack. */
export const stackTrace: TraceSource = () => {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = COLLECTED_FRAMES;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return parseStack(stack ?? '');
};

/** No places at all: for executions that are only searched, and repeated with places once something is found. */
export const noTrace: TraceSource = () => [];

/** Frames of a V8 stack, from below the hook up to the first that is not the project's. */
export function parseStack(stack: string): string[] {
  const lines = stack.split('\n').slice(1);
  const frames: string[] = [];
  for (const line of lines.slice(lines.findLastIndex((candidate) => HOOK_FRAME.test(candidate)) + 1)) {
    if (GENERATOR_FRAME.test(line)) continue;
    const [, name, file, lineNumber] = FRAME.exec(line) ?? [];
    if (file === undefined || FOREIGN.test(file)) break;
    const path = PROJECT_PATH.exec(file)?.[1] ?? file.replace(/^.*\//, '');
    frames.push(`${name?.replace(/^.*\./, '') ?? '(top level)'}@${path}:${lineNumber}`);
    if (frames.length === MAX_FRAMES) break;
  }
  return frames;
}

/** The lock primitives by file and, where a bundler has moved them, by name. */
const PRIMITIVE =
  /@src\/locks\/|^(?:spin|up|down|mutex|seqcount|rcu|mmap(?:Read|Write)|vmaStart|folio(?:Try)?Lock|acquire)/;

/** First frame outside the lock primitives: who took the lock. */
export function callerFrame(frames: readonly string[]): string | undefined {
  return frames.find((frame) => !PRIMITIVE.test(frame)) ?? frames[0];
}

/** Functions that took locks at these places, each once, by name: what tells apart two bugs over one class. */
export function callerFunctions(traces: readonly (readonly string[])[]): string[] {
  const frames = traces.map(callerFrame).filter((frame) => frame !== undefined);
  return [...new Set(frames.map((frame) => frame.replace(/@.*$/, '')))].sort();
}
