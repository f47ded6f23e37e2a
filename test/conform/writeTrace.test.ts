import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findTraceFiles } from '../../src/conform/inputFiles.ts';
import { readTraceFile } from '../../src/conform/traceFile.ts';
import { caseRecord, headerRecord, traceText } from '../../src/conform/writeTrace.ts';
import { TRACES } from './fixtures.ts';

describe('writing traces', () => {
  it.each(findTraceFiles([TRACES]))('%s comes out as it was read', async (file) => {
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    for await (const trace of readTraceFile(file)) {
      const recorded = trace.steps.map(({ action, result, after }) => ({ action, result, state: after }));
      const text = traceText([caseRecord(trace, recorded)]);
      expect(text.endsWith('\n')).toBe(true);
      expect(JSON.parse(text)).toEqual(JSON.parse(lines[trace.line - 1]));
    }
  });

  it('the header names the kernel and the window', () => {
    const window = { base: '0x7f0000000000', pages: 4096, task_size: '0x7ffffffff000' };
    expect(headerRecord('Linux 6.18')).toEqual({ type: 'header', format: 1, kernel: 'Linux 6.18', window });
  });
});
