import { describe, expect, test } from 'vitest';
import type { RunProgress } from '../embedded/run-types.ts';
import { progressText, recordsPerSecond } from './progress-text.ts';

const progress: RunProgress = {
  state: 'running',
  recordsIn: 1_234_567,
  recordsOut: 1_234,
  lateRecords: 0,
  watermarkMs: 978_307_200_000,
  timeHeldBy: null,
  lastCheckpoint: { id: 11, completedAtMs: 5_000, bytes: 1_200_000 },
  restored: null,
  restarts: 0,
  counters: {},
};
const sample = (elapsedMs: number, changes: Partial<RunProgress> = {}) => ({
  progress: { ...progress, ...changes },
  elapsedMs,
  nowMs: 5_400,
});

describe('progressText', () => {
  test('shows counts, rate since the last sample, event time and checkpoint', () => {
    const text = progressText(sample(12_000), sample(11_000, { recordsIn: 824_567 }));
    expect(text).toBe(
      '12.0 s  1,234,567 in  1,234 out  410 K records/s  event time 2001-01-01 00:00:00  checkpoint 11 (1.2 MB, 0.40 s ago)',
    );
  });

  test('adds what is unusual only when there is some', () => {
    const text = progressText(
      sample(1_000, { lateRecords: 3, restarts: 2, state: 'restarting', lastCheckpoint: null }),
      null,
    );
    expect(text).toMatch(/no checkpoint yet {2}3 late {2}2 restarts {2}restarting$/);
  });
});

describe('recordsPerSecond', () => {
  test('is zero, not negative, when a restart set counts back', () => {
    expect(recordsPerSecond(sample(2_000, { recordsIn: 10 }), sample(1_000, { recordsIn: 500 }))).toBe(0);
  });

  test('leaves out records of the restored checkpoint when it is the first sample', () => {
    const restored = { checkpointId: 3, sourceRecords: 1_000 };
    expect(recordsPerSecond(sample(1_000, { recordsIn: 1_500, restored }), null)).toBe(500);
  });
});
