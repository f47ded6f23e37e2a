/** What this host lets a recording do: found out by trying. */

import { UsageError } from '../../base/usageError.ts';
import { readLength } from '../readOperand.ts';
import { WINDOW_PAGES, type Action } from '../traceFormat.ts';
import { memlockLimit, type HostSettings } from './host.ts';
import { recordCase } from './record.ts';
import { Recorder, RecorderRefusal } from './recorder.ts';
import type { HostLimits } from './scripts.ts';

/** Tries the recorder on a case of which every kernel makes the same. @throws UsageError when this host does not allow it */
export async function findLimits(program: string, settings: HostSettings, kernel: string): Promise<HostLimits> {
  try {
    const recorder = await Recorder.start(program);
    const { pins } = recorder;
    const seen = await tryIt(recorder, kernel).finally(() => recorder.stop());
    if (seen !== 'xe')
      throw new UsageError(`--live: /proc/kpageflags does not show PG_anon_exclusive here ('${seen}')`);
    const [ksm, hugePages] = [settings.prepareKsm(), settings.prepareHugePages()];
    return { memlock: memlockLimit(), pins, ksm, hugePages };
  } catch (error) {
    if (error instanceof RecorderRefusal) throw new UsageError(`--live cannot record on this host: ${error.message}`);
    throw error;
  }
}

/** Letters of a page that was just written. */
async function tryIt(recorder: Recorder, kernel: string): Promise<string> {
  const page = WINDOW_PAGES - 1;
  const actions: Action[] = [
    { op: 'mmap', p: 0, at: null, len: readLength(1, 'len'), prot: 'rw', shared: false, flags: [] },
    { op: 'write', p: 0, page, value: 64 },
  ];
  const { trace } = await recordCase(recorder, { id: 'trial', family: 'trial', memlock: null, actions }, kernel);
  return trace.steps[1].after.get(0)?.pages.get(page)?.letters ?? 'no page';
}
