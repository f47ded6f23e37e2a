/** Reading a trace file line by line: a case is handed on before the next one is looked at. */

import { createReadStream } from 'node:fs';
import { UsageError } from '../base/usageError.ts';
import { Malformed } from './malformed.ts';
import { readCase, readHeader } from './readCase.ts';
import type { TraceCase, TraceHeader } from './traceFormat.ts';

/** Name of the standard input as an operand. */
export const STDIN = '-';

/** The cases of one file. @throws UsageError `file:line: field: reason` at the first thing that is wrong */
export async function* readTraceFile(file: string): AsyncGenerator<TraceCase> {
  const name = file === STDIN ? '<stdin>' : file;
  const input = file === STDIN ? process.stdin : createReadStream(file);
  const lineOfId = new Map<string, number>();
  let header: TraceHeader | null = null;
  let line = 0;
  for await (const bytes of splitLines(input, name)) {
    line++;
    const value = refusing(name, line, () => parseLine(bytes));
    if (header === null) {
      header = refusing(name, line, () => readHeader(value));
      continue;
    }
    const place = { header, file: name, line };
    const record = refusing(name, line, () => readCase(value, place));
    const earlier = lineOfId.get(record.id);
    if (earlier !== undefined)
      throw new UsageError(`${name}:${line}: id: '${record.id}' is on line ${earlier} already`);
    lineOfId.set(record.id, line);
    yield record;
  }
  if (line === 0) throw new UsageError(`${name}:1: the header is missing: the file is empty`);
}

function refusing<Value>(name: string, line: number, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) throw new UsageError(`${name}:${line}: ${error.message}`);
    throw error;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function parseLine(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Malformed('', 'the line is not UTF-8');
  }
  if (text.trim() === '') throw new Malformed('', 'the line is blank');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Malformed('', `not JSON: ${(error as Error).message}`);
  }
}

/** Lines without their ends; the last one may lack it. @throws UsageError when the file cannot be read */
async function* splitLines(input: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array[] = [];
  try {
    for await (const chunk of input) {
      let from = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
        yield Buffer.concat([...rest, chunk.subarray(from, end)]);
        rest = [];
        from = end + 1;
      }
      if (from < chunk.length) rest.push(chunk.subarray(from));
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code !== 'string') throw error;
    throw new UsageError(`${name}: cannot be read (${code})`);
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}
