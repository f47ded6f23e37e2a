import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findTraceFiles } from '../../src/conform/inputFiles.ts';
import { readTraceFile } from '../../src/conform/traceFile.ts';
import type { TraceCase } from '../../src/conform/traceFormat.ts';
import { BROKEN, TRACES } from './fixtures.ts';

async function readAll(file: string): Promise<TraceCase[]> {
  const cases: TraceCase[] = [];
  for await (const trace of readTraceFile(file)) cases.push(trace);
  return cases;
}

describe('trace files', () => {
  it('the recorded ones are read whole: each delta applies and the end agrees', async () => {
    const files = findTraceFiles([TRACES]);
    expect(files).toHaveLength(16);
    const cases = (await Promise.all(files.map(readAll))).flat();
    expect(cases).toHaveLength(158);
    expect(new Set(cases.map(({ id }) => id)).size).toBe(158);
  });

  it('the states follow the deltas of the example in the format description', async () => {
    const [trace] = await readAll(join(TRACES, '../divergent/divergent.jsonl'));
    const afterFork = trace.steps[2].after;
    const shared = { frame: 0, mapcount: 2, letters: '', stamp: 64 };
    expect(afterFork.get(1)!.pages).toEqual(new Map([[4094, shared]]));
    const last = trace.steps[3].after;
    expect(last.get(0)!.pages.get(4094)).toEqual({ frame: 0, mapcount: 1, letters: 'x', stamp: 64 });
    expect(last.get(1)!.pages.get(4094)).toEqual({ frame: 1, mapcount: 1, letters: 'xe', stamp: 7 });
    expect(last.get(1)!.vmas.get(4093)).toMatchObject({ start: 4093, end: 4096, perms: 'rw-p', flags: 'ac' });
  });

  it.each([
    ['empty', ':1: the header is missing: the file is empty'],
    ['noHeader', ':1: type: the first line of a trace file is its header'],
    ['otherFormat', ':1: format: this program reads format 1'],
    ['otherWindow', ':1: window.pages: the simulated machine has 4096'],
    ['notJson', ':2: not JSON: '],
    ['blankLine', ':2: the line is blank'],
    ['notUtf8', ':2: the line is not UTF-8'],
    ['notAnObject', ':2: expected an object, not [1]'],
    ['sameId', ":3: id: 'broken-1' is on line 2 already"],
    ['unknownKey', ':2: note: unknown key'],
    ['unknownOp', ':2: steps[1].op: expected one of mmap, '],
    ['foreignOperand', ':2: steps[1].len: unknown key'],
    ['missingOperand', ':2: steps[0].len: expected a number of pages'],
    ['badLength', ':2: steps[0].len: expected a number of pages, "I+B" or "@H", not "3+5000"'],
    ['badFlag', ':2: steps[0].flags[1]: expected one of fixed, '],
    ['badResult', ':2: steps[1].r: expected a number or segv_maperr, '],
    ['deadProcess', ':2: steps[3].p: process 2 is not alive'],
    ['wrongChild', ':2: steps[2].child: the next process is number 1'],
    ['unheldPin', ':2: steps[4].id: process 0 holds no pin 4'],
    ['badVma', ':2: steps[0].d.0.va[0][3]: expected some of '],
    ['badPage', ':2: steps[1].d.0.pa[0][4]: expected some of the letters'],
    ['absentVma', ':2: steps[1].d.0.vd[0]: no VMA starts at 12'],
    ['absentPage', ':2: steps[1].d.0.pd[0]: page 4095 is not present'],
    ['noState', ':2: steps[2].d: process 1 is alive after this step but has no state'],
    ['wrongEnd', ':2: end.pages: 3 stated, the deltas lead to 2'],
  ])('%s is refused with place and reason', async (name, message) => {
    const file = join(BROKEN, `${name}.jsonl`);
    await expect(readAll(file)).rejects.toMatchObject({ name: 'UsageError' });
    await expect(readAll(file)).rejects.toThrow(`${file}${message}`);
  });

  it('a file that is not there is bad input', () => {
    expect(() => findTraceFiles(['no/such/file'])).toThrow('no such file or folder: no/such/file');
  });
});
