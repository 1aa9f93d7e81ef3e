import { expect, test } from 'vitest';
import type { RunProgress } from '../embedded/run-types.ts';
import { HeldTime } from './held-time.ts';

const progress: RunProgress = {
  state: 'running',
  recordsIn: 0,
  recordsOut: 0,
  lateRecords: 0,
  watermarkMs: Number.NEGATIVE_INFINITY,
  timeHeldBy: { operator: 'clicks', subtask: 1, watermarkMs: 978_307_200_000 },
  lastCheckpoint: null,
  restored: null,
  restarts: 0,
  counters: {},
};

type Seen = readonly [seconds: number, changes: Partial<RunProgress>];

/** What is said at each of these seconds. */
function said(...samples: readonly Seen[]) {
  const held = new HeldTime();
  return samples.map(([seconds, changes]) =>
    held.observe({ progress: { ...progress, ...changes }, elapsedMs: seconds * 1_000, nowMs: 0 }),
  );
}
const heldAt = (watermarkMs: number) => ({ timeHeldBy: { operator: 'clicks', subtask: 1, watermarkMs } });

test('event time that stands while records come in is told once, with the source that holds it', () => {
  const lines = said([0, {}], [29, { recordsIn: 5 }], [30, { recordsIn: 7 }], [90, { recordsIn: 9 }]);
  expect(lines).toEqual([null, null, expect.any(String), null]);
  expect(lines[2]).toMatch(
    /stood at 2001-01-01 00:00:00 for 30\.0 s while 7 records .*'clicks', subtask 1, holds it.*idleTimeout/,
  );
  const never = heldAt(Number.NEGATIVE_INFINITY);
  expect(said([0, never], [30, { ...never, recordsIn: 1 }])[1]).toMatch(/stood before its beginning/);
});

test('nothing is told while event time moves, no records come, nobody holds it or the job restarts', () => {
  const silent = (...samples: readonly Seen[]) => expect(said(...samples).every((line) => line === null)).toBe(true);
  silent(
    [0, {}],
    [29, { recordsIn: 5, ...heldAt(978_307_200_001) }],
    [31, { recordsIn: 7, ...heldAt(978_307_200_001) }],
  );
  silent([0, { recordsIn: 3 }], [60, { recordsIn: 3 }]);
  silent([0, { timeHeldBy: null }], [60, { timeHeldBy: null, recordsIn: 3 }]);
  silent([0, {}], [29, { restarts: 1, recordsIn: 3 }], [31, { restarts: 1, recordsIn: 4 }]);
});
