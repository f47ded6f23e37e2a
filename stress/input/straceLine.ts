/**
 * One line of `strace -f` output, with or without time stamps and durations:
 *
 *   1234 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
 *   [pid  1234] 12:00:00.1 munmap(0x7f0000000000, 8192 <unfinished ...>
 *   1234 <... munmap resumed>) = -1 EINVAL (Invalid argument) <0.000012>
 *   1234 +++ exited with 0 +++
 */

/** What a call returned: a number, an error, or nothing (`?`). */
export type CallResult = { readonly value: number } | { readonly errno: string } | null;

export type StraceLine =
  | {
      readonly kind: 'call';
      readonly pid: number;
      readonly name: string;
      readonly args: readonly string[];
      readonly result: CallResult;
    }
  /** `args` are those printed so far. */
  | { readonly kind: 'unfinished'; readonly pid: number; readonly name: string; readonly args: readonly string[] }
  | {
      readonly kind: 'resumed';
      readonly pid: number;
      readonly name: string;
      readonly args: readonly string[];
      readonly result: CallResult;
    }
  | { readonly kind: 'ended'; readonly pid: number }
  /** A signal, or output of something else. */
  | { readonly kind: 'other' };

const PREFIX = /^(?:\[pid\s+(\d+)\]\s+|(\d+)\s+)?(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+|\d+\.\d+\s+)*/;
const CALL = /^([a-z_]\w*)\(([^]*)$/;
const RESUMED = /^<\.\.\. (\w+) resumed>,? ?([^]*)$/;
const RESULT = /^\)\s*=\s*(\?|0x[\da-f]+|-?\d+)(?:\s+([A-Z]\w*))?(?:\s+\([^]*\))?(?:\s+<\d+\.\d+>)?\s*$/;
const UNFINISHED = /\s*<unfinished \.\.\.>\s*$/;
const OTHER: StraceLine = { kind: 'other' };

/** Reads one line; what is no strace line at all is `other`. */
export function parseStraceLine(text: string): StraceLine {
  const prefix = PREFIX.exec(text)!;
  const pid = Number(prefix[1] ?? prefix[2] ?? 0);
  const rest = text.slice(prefix[0].length);
  if (/^\+\+\+ (exited with|killed by) /.test(rest)) return { kind: 'ended', pid };
  const resumed = RESUMED.exec(rest);
  if (resumed !== null) return withResult('resumed', pid, resumed[1], resumed[2]);
  const call = CALL.exec(rest);
  if (call === null) return OTHER;
  const [, name, body] = call;
  if (!UNFINISHED.test(body)) return withResult('call', pid, name, body);
  return { kind: 'unfinished', pid, name, args: splitArguments(body.replace(UNFINISHED, '')).args };
}

function withResult(kind: 'call' | 'resumed', pid: number, name: string, body: string): StraceLine {
  const { args, rest } = splitArguments(body);
  const match = RESULT.exec(rest);
  if (match === null) return OTHER;
  const [, value, errno] = match;
  if (value === '?') return { kind, pid, name, args, result: null };
  if (errno !== undefined && value === '-1') return { kind, pid, name, args, result: { errno } };
  return { kind, pid, name, args, result: { value: Number(value) } };
}

/** The arguments at the top level; `rest` begins with the parenthesis that closes them. */
function splitArguments(body: string): { args: string[]; rest: string } {
  const args: string[] = [];
  let depth = 0;
  let start = 0;
  let i = 0;
  for (; i < body.length; i++) {
    const char = body[i];
    if (char === '"') i = endOfString(body, i);
    else if ('([{'.includes(char)) depth++;
    else if (depth === 0 && char === ')') break;
    else if (')]}'.includes(char)) depth--;
    else if (depth === 0 && char === ',') {
      args.push(body.slice(start, i).trim());
      start = i + 1;
    }
  }
  const last = body.slice(start, i).trim();
  if (last !== '') args.push(last);
  return { args, rest: body.slice(i) };
}

function endOfString(body: string, from: number): number {
  for (let i = from + 1; i < body.length; i++) {
    if (body[i] === '\\') i++;
    else if (body[i] === '"') return i;
  }
  return body.length;
}
