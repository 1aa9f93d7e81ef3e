/** Asynchronous operators, call by call: answers are given by hand, the clock is moved by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointImage, engineErrorOf } from '../../testing/operator-harness.ts';
import { AsyncDriver, type DriverOptions } from './async-driver.test-support.ts';

const orders = ['ordered', 'unordered'] as const;

describe('an ordered operator', () => {
  it('hands on answers in the order of the records, with the time of each', async () => {
    const driver = await AsyncDriver.open();
    await driver.send(1, 2, 3);
    await driver.answer(3, 'three');
    await driver.answer(2, 'two');
    expect(driver.log).toEqual([]);
    await driver.answer(1, 'one');
    expect(driver.harness.outputs).toEqual([
      { value: 'one', timestamp: 1, splitWatermark: 5 },
      { value: 'two', timestamp: 2, splitWatermark: 5 },
      { value: 'three', timestamp: 3, splitWatermark: 5 },
    ]);
    expect(driver.head.drained).toBe(true);
  });

  it('keeps row kind and absent times of each record', async () => {
    const driver = await AsyncDriver.open();
    await driver.harness.process({ value: 1, rowKind: 3 }, { value: 2, timestamp: 7 });
    await driver.answer(2);
    await driver.answer(1);
    expect(driver.harness.outputs).toEqual([
      { value: 1, timestamp: Number.NaN, splitWatermark: Number.NaN, rowKind: 3 },
      { value: 2, timestamp: 7, splitWatermark: Number.NaN },
    ]);
  });
});

describe('an unordered operator', () => {
  it('hands on answers as they come, but none past a watermark or idleness', async () => {
    const driver = await AsyncDriver.open({ order: 'unordered' });
    await driver.send(1, 2);
    driver.time(10);
    await driver.send(3, 4);
    driver.time(20, true);
    await driver.answer(4);
    await driver.answer(2);
    expect(driver.log).toEqual([2]);
    await driver.answer(1);
    expect(driver.log).toEqual([2, 1, 'watermark 10', 4]);
    await driver.answer(3);
    expect(driver.log).toEqual([2, 1, 'watermark 10', 4, 3, 'idle']);
  });
});

describe.each(orders)('an operator, %s', (order) => {
  const open = (options: DriverOptions = {}) => AsyncDriver.open({ order, ...options });

  it('hands on a time at once when nothing is before it, and only the last of several', async () => {
    const driver = await open();
    driver.time(10);
    driver.time(20);
    driver.handOn();
    expect(driver.log).toEqual(['watermark 20']);
    await driver.send(1);
    driver.time(30, true);
    driver.time(30, false);
    await driver.answer(1);
    expect(driver.log).toEqual(['watermark 20', 1, 'watermark 30']);
  });

  it('is full at its capacity, also with answered records that cannot be handed on, and takes room as it comes', async () => {
    const driver = await open({ capacity: 2 });
    await driver.send(1);
    expect(driver.head.full).toBe(false);
    await driver.send(2);
    expect(driver.head.full).toBe(true);
    driver.harness.room = 0;
    await driver.answer(1);
    expect([driver.log, driver.head.full, driver.head.ready]).toEqual([[], true, true]);
    driver.harness.room = 1;
    driver.handOn();
    expect([driver.log, driver.head.full]).toEqual([[1], false]);
  });

  it('asks to stop before the next record when it has become full', async () => {
    const driver = await open({ capacity: 1 });
    await driver.harness.process({ value: 1 });
    expect(driver.harness.room).toBe(0);
  });

  it('fails the attempt after the timeout when nothing else is said, naming operator and remedy', async () => {
    const driver = await open({ timeoutMs: 500 });
    await driver.send(1);
    expect(driver.harness.wakeAtMs).toBe(500);
    await driver.clock(499);
    const error = await engineErrorOf(driver.clock(500));
    expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', domain: 'external', retry: 'backoff' });
    expect(error.message).toMatch(/'operator-under-test' had no answer for a record within 500 ms → raise timeout/);
  });

  it('skips and counts a record whose answer does not come in time, and ignores the late answer', async () => {
    const driver = await open({ timeoutMs: 500, onTimeout: 'skip' });
    await driver.send(1);
    driver.harness.nowMs = 300;
    await driver.send(2);
    await driver.clock(500);
    await driver.answer(1, 'too late');
    await driver.answer(2);
    expect(driver.log).toEqual([2]);
    expect(driver.harness.counter('asyncTimeouts')).toBe(1);
    expect(driver.head.drained).toBe(true);
  });

  it('sends a record to a side output or puts something in its place after the timeout', async () => {
    const side = await open({ timeoutMs: 500, onTimeout: { sideOutput: 'slow' } });
    await side.send(1);
    await side.clock(500);
    expect(side.harness.side('slow')).toMatchObject([
      {
        value: { record: 1, operator: 'operator-under-test', message: expect.stringMatching(/no answer/) },
        timestamp: 1,
      },
    ]);
    const replaced = await open({ timeoutMs: 500, onTimeout: 'call', replace: (value: number) => value * 100 });
    await replaced.send(1);
    await replaced.clock(500);
    expect(replaced.harness.outputs).toEqual([{ value: 100, timestamp: 1, splitWatermark: 5 }]);
  });

  it('handles a throw of the timeout function by onError', async () => {
    const driver = await open({
      timeoutMs: 500,
      onTimeout: 'call',
      onError: 'skip',
      replace: () => {
        throw new Error('no replacement');
      },
    });
    await driver.send(1);
    await driver.clock(500);
    expect([driver.log, driver.harness.counter('skipped')]).toEqual([[], 1]);
  });

  it('tells the function by its signal that the time is over, and that the attempt ends', async () => {
    const attempt = new AbortController();
    const driver = await open({ timeoutMs: 500, onTimeout: 'skip', signal: attempt.signal });
    await driver.send(1);
    driver.harness.nowMs = 300;
    await driver.send(2, 3);
    const [one, two, three] = driver.calls.map(({ call }) => call.signal);
    await driver.clock(500);
    expect([one.aborted, two.aborted]).toEqual([true, false]);
    await driver.answer(3);
    attempt.abort();
    expect([two.aborted, two.reason.code, three.aborted]).toEqual([true, 'CANCELED', false]);
    driver.calls[1].answer(2);
    await driver.settle();
    expect(driver.log).not.toContain(2);
  });

  it('ends open calls when it is closed', async () => {
    const closed: string[] = [];
    const driver = await open({ close: () => void closed.push('closed') });
    await driver.send(1);
    const { signal } = driver.calls[0].call;
    await driver.harness.operator.close();
    expect([signal.aborted, closed]).toEqual([true, ['closed']]);
  });

  it('calls again after the delay, growing and bounded, and counts calls from one', async () => {
    const retry = { attempts: 4, delayMs: 100, backoff: 3, maxDelayMs: 500 };
    const driver = await open({ retry });
    await driver.send(1);
    const calledAt: number[] = [];
    for (const [nowMs, made] of [
      [99, 1],
      [100, 2],
      [399, 2],
      [400, 3],
      [899, 3],
      [900, 4],
    ] as const) {
      if (driver.calls.length > calledAt.length) {
        calledAt.push(driver.harness.nowMs);
        await driver.reject(1);
      }
      await driver.clock(nowMs);
      expect([nowMs, driver.calls.length]).toEqual([nowMs, made]);
    }
    expect(driver.calls.map(({ call }) => call.attempt)).toEqual([1, 2, 3, 4]);
    expect(driver.harness.counter('asyncRetries')).toBe(3);
    await driver.answer(1, 'at last');
    expect(driver.log).toEqual(['at last']);
  });

  it('hands the last rejection to onError when the calls are used up', async () => {
    const driver = await open({ retry: { attempts: 2, delayMs: 0, backoff: 1, maxDelayMs: null } });
    await driver.send(1);
    await driver.reject(1, new Error('first'));
    await driver.clock(0);
    const error = await engineErrorOf(driver.reject(1, new Error('second')));
    expect(error.message).toMatch(/'operator-under-test' threw: second/);
  });

  it('does not call again for failures that the condition declines, or that it throws on', async () => {
    for (const retryIf of [
      (error: unknown) => (error as Error).message !== 'for good',
      () => {
        throw new Error('condition');
      },
    ]) {
      const retry = { attempts: 9, delayMs: 1, backoff: 1, maxDelayMs: null };
      const driver = await open({ retry, retryIf, onError: 'skip' });
      await driver.send(1);
      await driver.reject(1, new Error('for good'));
      expect([driver.calls.length, driver.harness.counter('skipped'), driver.head.drained]).toEqual([1, 1, true]);
    }
  });

  it('counts the timeout over all calls for a record, also while it pauses', async () => {
    const retry = { attempts: 100, delayMs: 400, backoff: 1, maxDelayMs: null };
    const driver = await open({ timeoutMs: 1000, onTimeout: 'skip', retry });
    await driver.send(1);
    for (const nowMs of [400, 800]) {
      await driver.reject(1);
      await driver.clock(nowMs);
    }
    await driver.reject(1);
    await driver.clock(1000);
    expect([driver.calls.length, driver.head.drained, driver.harness.counter('asyncTimeouts')]).toEqual([3, true, 1]);
    await driver.clock(1200);
    expect(driver.calls).toHaveLength(3);
  });

  it('skips a rejected record, or sends it to a side output with its time', async () => {
    const skipping = await open({ onError: 'skip' });
    await skipping.send(1, 2);
    await skipping.reject(1);
    await skipping.answer(2);
    expect([skipping.log, skipping.harness.counter('skipped')]).toEqual([[2], 1]);
    const side = await open({ onError: { sideOutput: 'broken' } });
    await side.send(1);
    await side.reject(1, new TypeError('no'));
    expect(side.harness.side('broken')).toMatchObject([{ value: { record: 1, message: 'no' }, timestamp: 1 }]);
  });

  it('hands on all items of an answer as there is room, and takes no snapshot between them', async () => {
    const driver = await open({ flat: true });
    await driver.send(1, 2);
    driver.harness.room = 2;
    await driver.answer(1, ['a', 'b', 'c']);
    await driver.answer(2, new Set(['d']));
    expect([driver.log, driver.harness.operator.pending]).toEqual([['a', 'b'], true]);
    expect(driver.head.drained).toBe(false);
    driver.harness.room = 9;
    driver.resume();
    expect([driver.log, driver.harness.operator.pending]).toEqual([['a', 'b', 'c'], false]);
    driver.handOn();
    expect(driver.log).toEqual(['a', 'b', 'c', 'd']);
  });

  it('handles an answer that has no items by onError', async () => {
    const driver = await open({ flat: true, onError: 'skip' });
    await driver.send(1);
    await driver.answer(1, 42);
    expect([driver.log, driver.harness.counter('skipped')]).toEqual([[], 1]);
  });

  it('keeps records in memory of their own', async () => {
    const driver = await open();
    const bytes = new Uint8Array(new ArrayBuffer(64), 8, 4);
    await driver.harness.process({ value: bytes });
    expect((driver.calls[0].value as Uint8Array).buffer.byteLength).toBe(4);
  });

  it('opens before the first call', async () => {
    const events: string[] = [];
    await open({ open: () => void events.push('open') });
    expect(events).toEqual(['open']);
  });
});

describe.each(orders)('a checkpoint of an operator, %s', (order) => {
  const open = (options: DriverOptions = {}) => AsyncDriver.open({ order, ...options });

  it('has the records without an answer and those not handed on, and a restore sends them again first', async () => {
    const driver = await open();
    await driver.send(1, 2, 3, 4);
    await driver.answer(1);
    driver.harness.room = 0;
    await driver.answer(3);
    const rows = driver.checkpoint(1);
    const restored = await open({ restore: rows });
    expect(restored.sent).toEqual([2, 3, 4]);
    expect(restored.calls.map(({ call }) => call.attempt)).toEqual([1, 1, 1]);
    await restored.send(5);
    for (const value of [2, 3, 4, 5]) await restored.answer(value);
    expect(restored.harness.outputs.map(({ value, timestamp }) => [value, timestamp])).toEqual([
      [2, 2],
      [3, 3],
      [4, 4],
      [5, 5],
    ]);
  });

  it('loses a record that was handed on since the one before', async () => {
    const driver = await open();
    await driver.send(1, 2);
    expect(driver.checkpoint(1)).toHaveLength(2);
    await driver.answer(1);
    await driver.send(3);
    expect(driver.checkpoint(2)).toHaveLength(2);
    await driver.answer(2);
    await driver.answer(3);
    expect(driver.checkpoint(3)).toEqual([]);
  });

  it('has everything again after one that was aborted', async () => {
    const driver = await open();
    await driver.send(1);
    driver.harness.freeze(1);
    driver.harness.operator.checkpointAborted(1);
    await driver.send(2);
    const restored = await open({ restore: driver.checkpoint(2) });
    expect(restored.sent).toEqual([1, 2]);
  });

  it('sends no more than the capacity at a time after a restore', async () => {
    const driver = await open();
    await driver.send(1, 2, 3, 4, 5);
    const restored = await open({ restore: driver.checkpoint(1), capacity: 2 });
    expect([restored.sent, restored.head.full]).toEqual([[1, 2], true]);
    await restored.answer(1);
    expect(restored.sent).toEqual([1, 2, 3]);
    for (const value of [2, 3, 4, 5]) await restored.answer(value);
    expect([restored.log, restored.head.full]).toEqual([[1, 2, 3, 4, 5], false]);
  });

  it('gives every record in flight to one subtask, through any changes of parallelism', async () => {
    const parallelisms = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(parallelisms, fc.infiniteStream(fc.integer({ min: 0, max: 6 })), async (steps, drawn) => {
        let next = 0;
        let expected: number[] = [];
        const image = new CheckpointImage();
        for (const [place, parallelism] of steps.entries()) {
          const restore = image.rows;
          const drivers = await Promise.all(
            Array.from({ length: parallelism }, (_, subtaskIndex) => open({ parallelism, subtaskIndex, restore })),
          );
          expect(drivers.flatMap(({ sent }) => sent as number[]).toSorted((a, b) => a - b)).toEqual(expected);
          for (const one of drivers) {
            if (place > 0 && one.sent.length > 0 && (drawn.next().value as number) > 2) {
              const done = one.sent[0] as number;
              await one.answer(done);
              expected = expected.filter((value) => value !== done);
            }
            const fresh = Array.from({ length: drawn.next().value as number }, () => next++);
            expected.push(...fresh);
            await one.send(...fresh);
          }
          expected.sort((a, b) => a - b);
          // One checkpoint has the rows of all subtasks; `apply` refuses two rows of one address.
          const rows = drivers.flatMap((one) => [...one.harness.checkpoint(place + 1)]);
          image.apply(rows);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps the order of each subtask when the parallelism stays', async () => {
    const first = await open({ parallelism: 2, subtaskIndex: 1 });
    await first.send(1, 2, 3);
    const rows = first.checkpoint(1);
    expect((await open({ parallelism: 2, subtaskIndex: 0, restore: rows })).sent).toEqual([]);
    expect((await open({ parallelism: 2, subtaskIndex: 1, restore: rows })).sent).toEqual([1, 2, 3]);
  });
});

describe.each(orders)('any sequence of answers, %s', (order) => {
  it('comes out once each, in order where it must be', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.constant({ kind: 'send' as const }),
        fc.constant({ kind: 'time' as const }),
        fc.nat(20).map((which) => ({ kind: 'answer' as const, which })),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const driver = await AsyncDriver.open({ order });
        const input: unknown[] = [];
        const waiting: number[] = [];
        let next = 0;
        for (const step of sequence) {
          if (step.kind === 'time') {
            driver.time(next);
            if (typeof input.at(-1) === 'string') input.pop();
            input.push(`watermark ${next}`);
          } else if (step.kind === 'send') {
            input.push(next);
            waiting.push(next);
            await driver.send(next++);
          } else if (waiting.length > 0) {
            const [value] = waiting.splice(step.which % waiting.length, 1);
            await driver.answer(value);
          }
        }
        for (const value of waiting) await driver.answer(value);
        driver.handOn();
        if (order === 'ordered') expect(withoutTimes(driver.log)).toEqual(withoutTimes(input));
        expect(stretchesOf(driver.log)).toEqual(stretchesOf(input));
      }),
      { numRuns: 200 },
    );
  });
});

const withoutTimes = (log: readonly unknown[]): unknown[] => log.filter((item) => typeof item === 'number');

/** For each time that has records before it: those records, sorted. A time may be told twice when nothing came between. */
function stretchesOf(log: readonly unknown[]): string[] {
  const stretches: string[] = [];
  let records: number[] = [];
  for (const item of log) {
    if (typeof item === 'number') {
      records.push(item);
    } else if (records.length > 0) {
      stretches.push(records.toSorted((a, b) => a - b).join(' '));
      records = [];
    }
  }
  return [...stretches, records.toSorted((a, b) => a - b).join(' ')];
}
