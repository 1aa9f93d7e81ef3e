import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EngineError, type errorCodes, toWireError } from '../../core/errors.ts';
import { isRestartable, RestartPolicy } from './restart-policy.ts';

const exponential = {
  kind: 'exponential-delay',
  initialDelayMs: 100,
  maxDelayMs: 1_000,
  multiplier: 2,
  resetAfterMs: 10_000,
  jitter: 0.1,
  attemptsMax: null,
} as const;

test('an exponential delay grows to its maximum and starts again after a long run', () => {
  const policy = new RestartPolicy(exponential);
  const delays = [0, 1, 2, 3, 4, 5].map((nowMs) => policy.failed(nowMs, 0.5));
  expect(delays.map((decision) => decision.restart && decision.delayMs)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  policy.running(1_000);
  expect(policy.failed(10_999, 0.5)).toEqual({ restart: true, delayMs: 1_000 });
  policy.running(20_000);
  expect(policy.failed(30_000, 0.5)).toEqual({ restart: true, delayMs: 100 });
});

test('an exponential delay stays within its jitter', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), (random) => {
      const decision = new RestartPolicy(exponential).failed(0, random);
      expect(decision.restart && decision.delayMs).toBeGreaterThanOrEqual(90);
      expect(decision.restart && decision.delayMs).toBeLessThanOrEqual(110);
    }),
  );
});

test('a fixed delay gives up after its attempts, with numbers', () => {
  const policy = new RestartPolicy({ kind: 'fixed-delay', delayMs: 5, attemptsMax: 2 });
  expect([policy.failed(0, 0).restart, policy.failed(0, 0).restart]).toEqual([true, true]);
  expect(policy.failed(0, 0)).toEqual({ restart: false, reason: 'it was restarted 2 times already, its limit is 2' });
});

test('a failure rate counts only failures within its interval', () => {
  const policy = new RestartPolicy({ kind: 'failure-rate', delayMs: 5, failuresMax: 2, intervalMs: 100 });
  expect([0, 60, 120, 180, 190].map((nowMs) => policy.failed(nowMs, 0).restart)).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
});

test('no restart strategy never restarts', () => {
  expect(new RestartPolicy({ kind: 'none' }).failed(0, 0).restart).toBe(false);
});

test('an error decides whether a restart may help, but unreadable state never allows one and a lost slot always does', () => {
  const wire = (code: (typeof errorCodes)[number], retry: 'never' | 'backoff') =>
    toWireError(new EngineError(code, 'x', { retry }));
  expect(isRestartable(wire('USER_FUNCTION_FAILED', 'backoff'))).toBe(true);
  expect(isRestartable(wire('USER_FUNCTION_FAILED', 'never'))).toBe(false);
  for (const code of ['CHECKPOINT_UNREADABLE', 'GRAPH_CHANGED', 'JOB_NOT_DETERMINISTIC'] as const) {
    expect(isRestartable(wire(code, 'backoff'))).toBe(false);
  }
  expect(isRestartable(wire('SLOT_EXITED', 'never'))).toBe(true);
});
