import { describe, expect, test } from 'vitest';
import { collection } from '../../connectors/collection/index.ts';
import type { Source } from '../../core/connector/index.ts';
import {
  count,
  defineJob,
  emits,
  hours,
  outputTag,
  params,
  seconds,
  sum,
  tumbling,
  valueState,
} from '../../client/index.ts';
import { advanceTime, at, checkpoint, crash, generated, pause, runJob, splits, watermark } from './index.ts';

interface Order {
  readonly customer: string;
  readonly amount: number;
}

/** Reads outside data, so a test has to replace it. */
const outside = <T>(): Source<T> =>
  ({ ...collection<T>([]), kind: 'outside', createPlanner: () => expect.fail('the real source was opened') }) as never;

const totals = defineJob('totals', (env) => {
  const parameters = env.params({ least: params.number({ default: 0 }) });
  const refused = outputTag<Order>('refused');
  const checked = env
    .from(outside<Order>(), { uid: 'orders', name: 'incoming orders' })
    .keyBy((order) => order.customer)
    .process(emits<{ customer: string; total: number }>(), {
      state: { total: valueState<number>() },
      onRecord(order, context) {
        if (order.amount < parameters.least) return context.output(refused, order);
        const total = (context.state.total.value() ?? 0) + order.amount;
        context.state.total.update(total);
        context.emit({ customer: order.customer, total });
      },
    })
    .uid('totals');
  checked.collect('results').uid('results');
  checked.sideOutput(refused).print('refused').uid('refused').name('refusals');
});

describe('runJob', () => {
  test('gives the records of every sink by uid, name and collect name', async () => {
    const result = await runJob(totals, {
      inputs: {
        'incoming orders': [
          { customer: 'a', amount: 5 },
          { customer: 'a', amount: 1 },
          { customer: 'b', amount: 7 },
        ],
      },
      parameters: { least: 2 },
    });
    const expected = [
      { customer: 'a', total: 5 },
      { customer: 'b', total: 7 },
    ];
    expect(result.outputs<{ customer: string; total: number }>('results')).toEqual(expected);
    expect(result.collected).toEqual({ results: expected });
    expect(result.outputs('refusals')).toEqual([{ customer: 'a', amount: 1 }]);
    expect(result.outputs('refused')).toEqual(result.outputs('refusals'));
  });

  test.each(['memory', 'cold'] as const)(
    'goes on from the checkpoint when it crashes, on the %s backend',
    async (backend) => {
      const order = (amount: number): Order => ({ customer: 'a', amount });
      const result = await runJob(totals, {
        inputs: { orders: [order(1), checkpoint(), order(2), crash(), order(3)] },
        parameters: { least: 2 },
        parallelism: 3,
        backend,
      });
      expect(result.outputs('results')).toEqual([
        { customer: 'a', total: 2 },
        { customer: 'a', total: 5 },
      ]);
      // Printed once: the refusal is before the checkpoint.
      expect(result.outputs('refused')).toEqual([order(1)]);
      expect(result.restarts).toBe(1);
    },
  );

  test('shows the repetitions of a sink without commits when it crashes before a checkpoint', async () => {
    const order = { customer: 'a', amount: 1 };
    const result = await runJob(totals, { inputs: { orders: [order, crash()] }, parameters: { least: 2 } });
    expect(result.outputs('refused')).toEqual([order, order]);
    expect(result.outputs('results')).toEqual([]);
  });

  test('makes records late that come behind a watermark, and gives the times of results', async () => {
    const windows = defineJob('windows', (env) => {
      const counted = env
        .from(outside<string>(), { uid: 'words' })
        .keyBy((word) => word)
        .window(tumbling(hours(1)))
        .aggregate({ times: count() })
        .uid('counted');
      counted.collect('counts');
    });
    const hour = 3_600_000;
    const result = await runJob(windows, {
      inputs: { words: [at(1, 'a'), at(2, 'a'), watermark(hour), at(3, 'a'), at(hour + 1, 'a')] },
    });
    const first = { key: 'a', windowStart: 0, windowEnd: hour, times: 2 };
    const second = { key: 'a', windowStart: hour, windowEnd: 2 * hour, times: 1 };
    expect(result.records('counts')).toEqual([
      { value: first, timestampMs: hour - 1, rowKind: 0 },
      { value: second, timestampMs: 2 * hour - 1, rowKind: 0 },
    ]);
    expect(result.lateRecords).toEqual({ counted: 1 });
  });

  test('fires processing-time timers in order, each at its own time, when time advances', async () => {
    const job = defineJob('timers', (env) => {
      env
        .from(outside<number>(), { uid: 'delays' })
        .keyBy((delay) => delay)
        .process(emits<string>(), {
          onRecord: (delay, context) => context.timers.registerProcessingTime(context.processingTimeMs + delay),
          onTimer: (time, context) => context.emit(`${context.key} at ${time} seen ${context.processingTimeMs}`),
        })
        .collect('fired');
    });
    const result = await runJob(job, {
      inputs: { delays: [20, 10, advanceTime(15), 3, advanceTime(5)] },
      startTimeMs: 100,
    });
    expect(result.outputs('fired')).toEqual(['10 at 110 seen 110', '3 at 118 seen 118', '20 at 120 seen 120']);
  });

  test('lets inputs have their turns in the order given, stretch by stretch', async () => {
    const job = defineJob('two', (env) => {
      const left = env.from(outside<string>(), { uid: 'left' });
      left
        .union(env.from(outside<string>(), { uid: 'right' }))
        .keyBy(() => 0)
        .reduce((a, b) => a + b)
        .collect('all');
    });
    const result = await runJob(job, { inputs: { right: ['1', pause(), '2'], left: ['a', pause(), 'b'] } });
    expect(result.outputs('all').at(-1)).toBe('1a2b');
  });

  test('reads every split of an input', async () => {
    const job = defineJob('splits', (env) => {
      env
        .from(outside<number>(), { uid: 'n' })
        .keyBy(() => 0)
        .aggregate({ total: sum((n: number) => n) })
        .collect('totals');
    });
    const result = await runJob(job, { inputs: { n: splits([1, 2], [3], []) }, parallelism: 2 });
    expect(result.outputs('totals').at(-1)).toEqual({ key: 0, total: 6 });
  });

  test('reads a collection without an input', async () => {
    const job = defineJob(
      'own-data',
      (env) =>
        void env
          .from(collection([1, 2]))
          .map((n) => n * 2)
          .collect('doubled'),
    );
    expect((await runJob(job)).collected).toEqual({ doubled: [2, 4] });
  });

  test('names operator and record when a function throws', async () => {
    const job = defineJob('throws', (env) => {
      env
        .from(collection([{ n: 1 }, { n: 2 }]))
        .map(({ n }) => {
          if (n === 2) throw new Error('no twos');
          return n;
        })
        .uid('picky')
        .collect('out');
    });
    await expect(runJob(job)).rejects.toThrow(
      /operator 'picky' threw: no twos\n {2}newest record of 'picky': \{ n: 2 \}/,
    );
  });

  test('names the operator when a function changes its record', async () => {
    const job = defineJob('mutates', (env) => {
      env
        .from(collection([{ n: 1 }]))
        .map((value) => Object.assign(value, { n: 2 }))
        .uid('rude')
        .collect('out');
    });
    await expect(runJob(job)).rejects.toThrow(/operator 'rude' changed the record/);
    expect((await runJob(job, { checkImmutability: false })).collected).toEqual({ out: [{ n: 2 }] });
  });

  test('names operator, state and key when a value of state is larger than 16 MiB', async () => {
    const job = defineJob('hoards', (env) => {
      const kept = env
        .from(collection([{ bytes: 16 * 1024 * 1024 }, { bytes: 16 * 1024 * 1024 + 1 }]))
        .keyBy((record) => record.bytes)
        .process(emits<number>(), {
          state: { big: valueState<Uint8Array>() },
          onRecord: (record, context) => context.state.big.update(new Uint8Array(record.bytes)),
        })
        .uid('hoard');
      kept.collect('out');
    });
    await expect(runJob(job)).rejects.toThrow(
      /state 'big' of operator 'hoard', key 16777217: a value of 16777217 bytes/,
    );
  });

  test('refuses what a cluster could not send, naming the operator, when slots are several', async () => {
    class Money {
      readonly cents = 1;
    }
    const job = defineJob('classes', (env) => {
      env
        .from(collection([1, 2, 3]))
        .map(() => new Money())
        .uid('coins')
        .rebalance()
        .map((money) => money.cents)
        .collect('out');
    });
    await expect(runJob(job, { parallelism: 2 })).rejects.toThrow(
      /operator 'coins' emits a record that cannot be sent/,
    );
  });

  test('refuses inputs that fit no source, with the nearest name', async () => {
    await expect(runJob(totals, { inputs: { order: [] } })).rejects.toThrow(
      /no source 'order', did you mean 'orders'\?/,
    );
    await expect(runJob(totals)).rejects.toThrow(/no input for 'orders' \(outside\)/);
    await expect(runJob(totals, { inputs: { orders: [], 'incoming orders': [] } })).rejects.toThrow(/given two inputs/);
    await expect(runJob(totals, { inputs: { orders: 5 as never } })).rejects.toThrow(/is not an array/);
    const result = await runJob(totals, { inputs: { orders: [] } });
    expect(() => result.outputs('result')).toThrow(/no sink 'result', did you mean 'results'\?/);
    expect(() => watermark(Number.NaN)).toThrow(/finite/);
    expect(() => advanceTime(-1)).toThrow(/does not go back/);
  });

  test('waits for the end of a function that answers later', async () => {
    const job = defineJob('later', (env) => {
      env
        .from(collection([1, 2]))
        .asyncMap(
          async (n: number) => {
            await new Promise((resolve) => setTimeout(resolve, 2));
            return n * 10;
          },
          { timeout: seconds(5) },
        )
        .collect('out');
    });
    expect((await runJob(job)).collected).toEqual({ out: [10, 20] });
  });
});

describe('a generated input', () => {
  const windows = defineJob('windows', (env) => {
    env
      .from(collection<number>([]), { uid: 'numbers' })
      .keyBy((n) => n % 2)
      .window(tumbling(seconds(1), { time: 'processing' }))
      .aggregate({ numbers: count(), sum: sum((n: number) => n) })
      .collect('windows');
  });

  test('gives each record its time of the clock', async () => {
    // Before 10 the clock is at 0, then at 999, before 20 at 1000, from 25 on at 5000.
    const steps = new Map([
      [10, 999],
      [20, 1],
      [25, 4000],
    ]);
    const result = await runJob(windows, {
      inputs: { numbers: generated(30, (index) => index, { advanceTimeMs: (index) => steps.get(index) ?? 0 }) },
      parallelism: 2,
    });
    const rows = result.outputs<{ key: number; windowStart: number; numbers: number; sum: number }>('windows');
    const found = rows.map(({ key, windowStart, numbers, sum }) => [windowStart, key, numbers, sum]);
    const sumOf = (from: number, until: number, key: number): [number, number] => {
      const own = Array.from({ length: until - from }, (_, index) => from + index).filter((n) => n % 2 === key);
      return [own.length, own.reduce((total, n) => total + n, 0)];
    };
    expect(found.sort((a, b) => (a[0] as number) - (b[0] as number) || (a[1] as number) - (b[1] as number))).toEqual([
      [0, 0, ...sumOf(0, 20, 0)],
      [0, 1, ...sumOf(0, 20, 1)],
      [1000, 0, ...sumOf(20, 25, 0)],
      [1000, 1, ...sumOf(20, 25, 1)],
      [5000, 0, ...sumOf(25, 30, 0)],
      [5000, 1, ...sumOf(25, 30, 1)],
    ]);
  });

  test('goes on after a crash that another input brings', async () => {
    const job = defineJob('both', (env) => {
      env.from(collection<number>([]), { uid: 'numbers' }).collect('numbers');
      env.from(collection<number>([]), { uid: 'others' }).collect('others');
    });
    const numbers = generated(5, (index) => index, { advanceTimeMs: (index) => (index === 3 ? 10 : 0) });
    const result = await runJob(job, { inputs: { numbers, others: [checkpoint(), 1, crash()] } });
    expect(result.collected).toEqual({ numbers: [0, 1, 2, 3, 4], others: [1] });
  });

  test('refuses what makes no sense', async () => {
    expect(() => generated(-1, () => 0)).toThrow(/whole number of records/);
    expect(() => generated(1, null as never)).toThrow(/make is no function/);
    const backwards = generated(2, () => 0, { advanceTimeMs: (index) => -index });
    await expect(runJob(windows, { inputs: { numbers: backwards } })).rejects.toThrow(/time does not go back/);
    const inside = { numbers: [generated(1, () => 0)] };
    await expect(runJob(windows, { inputs: inside })).rejects.toThrow(/generated\(\.\.\) is a whole input/);
  });
});
