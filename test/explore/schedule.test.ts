import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/base/usageError.ts';
import { ScheduleRecorder, decodeSchedule, encodeSchedule } from '../../src/explore/schedule.ts';

describe('schedule', () => {
  it('is short: letters and run lengths, the version first', () => {
    const runs = [
      { task: 0, steps: 1 },
      { task: 1, steps: 12 },
      { task: 30, steps: 2 },
    ];
    expect(encodeSchedule({ tasks: 31, runs, picks: [] })).toBe('2.31.ab12E2');
    expect(encodeSchedule({ tasks: 31, runs, picks: [0, 35] })).toBe('2.31.ab12E2.0z');
  });

  it('comes back from its text', () => {
    const run = fc.record({ task: fc.nat(30), steps: fc.integer({ min: 1, max: 1e9 }) });
    fc.assert(
      fc.property(fc.array(run), fc.array(fc.nat(35)), (runs, picks) => {
        const schedule = { tasks: 31, runs, picks };
        expect(decodeSchedule(encodeSchedule(schedule))).toEqual(schedule);
      }),
      { seed: 7 },
    );
  });

  it.each(['', 'a', '2.2', '2.2.F', '2.2.a0', '2.2.c', '2.2.3a', '2.2.a-', '1.2.a', '2.2.a\n', '2.2.a.', '2.2.a.A'])(
    'refuses %j',
    (text) => {
      expect(() => decodeSchedule(text)).toThrow(UsageError);
    },
  );

  it('the recorder joins runs of the same task and grows as it must', () => {
    const recorder = new ScheduleRecorder();
    recorder.add(0, 2);
    recorder.add(0, 3);
    recorder.add(1, 1);
    expect(recorder.schedule(2).runs).toEqual([
      { task: 0, steps: 5 },
      { task: 1, steps: 1 },
    ]);
    const hash = recorder.hash(1);
    recorder.clear();
    for (let i = 0; i < 1000; i++) recorder.add(i % 3, 1);
    expect(recorder.schedule(3).runs.length).toBe(1000);
    expect(recorder.hash(1)).not.toBe(hash);
  });
});
