import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { collection } from '../../../connectors/collection/index.ts';
import {
  count,
  defineJob,
  emits,
  type FailedRecord,
  type JobEnvironment,
  milliseconds,
  outputTag,
  sideOutput,
  type Stream,
  sum,
  tumbling,
  valueState,
} from '../../../client/index.ts';
import { assertDeterministic, checkpoint, formatSimulation, simulateJob, splits } from '../index.ts';

interface Reading {
  readonly sensor: string;
  readonly time: number;
  readonly value: number;
}

const readings: readonly Reading[] = Array.from({ length: 60 }, (_, index) => ({
  sensor: `s${index % 5}`,
  time: index * 10,
  value: (index * 7) % 13,
}));

const source = (env: JobEnvironment, uid = 'readings'): Stream<Reading> => env.from(collection<Reading>([]), { uid });

/** A job of one operator on readings, and what it makes of them. */
const jobOf = (build: (stream: Stream<Reading>) => Stream<unknown>) =>
  defineJob('planted', (env) => void build(source(env)).collect('out').uid('out'));

const seeds = 20;

describe('simulateJob', () => {
  test('finds nothing in a job with windows, state, timers and side outputs', { timeout: 60_000 }, async () => {
    const high = outputTag<Reading>('high');
    const job = defineJob('clean', (env) => {
      const timed = source(env).withTimestamps((reading) => reading.time, { outOfOrderness: milliseconds(0) });
      const keyed = timed.keyBy((reading) => reading.sensor);
      keyed
        .window(tumbling(milliseconds(100)))
        .aggregate({ readings: count() })
        .uid('windows')
        .collect('windows');
      const checked = keyed
        .process(emits<string>(), {
          state: { total: valueState<number>() },
          onRecord(reading, context) {
            const total = (context.state.total.value() ?? 0) + reading.value;
            context.state.total.update(total);
            if (reading.value > 10) context.output(high, reading);
            context.timers.registerEventTime(reading.time + 25);
            context.emit(`${context.key} ${total}`);
          },
          onTimer: (time, context) => context.emit(`${context.key} timer ${time}`),
        })
        .uid('totals');
      checked.collect('totals');
      checked.sideOutput(high).print('high').uid('high');
      timed
        .broadcastInput(env.from(collection(['s1', 's3']), { uid: 'names' }), (names) => new Set(names))
        .filter((reading, names) => names.has(reading.sensor))
        .uid('known')
        .collect('known');
    });
    const result = await simulateJob(job, {
      inputs: { readings },
      seeds: 200,
    });
    expect(formatSimulation(result)).toMatch(/^same results in 200 runs with \d+ crashes$/);
    expect(result.crashes).toBeGreaterThan(100);
  });

  test('names the operator that draws random numbers', async () => {
    const job = jobOf((stream) =>
      stream
        .map(({ value }) => value * 2)
        .uid('double')
        .map((n) => n + Math.random())
        .uid('noise'),
    );
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'noise', cause: 'random number' }]);
    expect(result.outsideCalls).toEqual([{ operator: 'noise', call: 'Math.random()', kind: 'random' }]);
    // Nothing has to happen to the job for this one.
    expect(result.violations[0]?.schedule).toMatchObject({ crashes: 0, rescale: false, delays: false });
    expect(() => assertDeterministic(result)).toThrow(/random number in operator 'noise'/);
  });

  test.each([
    ['Date.now()', () => Date.now()],
    ['new Date()', () => Date.parse(new Date().toISOString())],
  ])('names the operator that reads the clock by %s', async (call, read) => {
    const job = jobOf((stream) => stream.map((reading) => ({ ...reading, at: read() })).uid('stamp'));
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'stamp', cause: 'clock' }]);
    expect(formatSimulation(result)).toContain(`it called ${call}`);
  });

  test('names the operator that counts in a variable of the module', async () => {
    let seen = 0;
    const job = jobOf((stream) => stream.map(({ sensor }) => `${sensor} ${++seen}`).uid('numbered'));
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'numbered', cause: 'state outside of the job' }]);
    expect(result.violations[0]?.explanation).toContain('same record');
  });

  test('names the operator that iterates over a shared map', async () => {
    const known = new Map<string, number>();
    const job = jobOf((stream) =>
      stream
        .keyBy(({ sensor }) => sensor)
        .process(emits<string>(), {
          onRecord({ sensor, value }, context) {
            known.set(sensor, value);
            context.emit([...known.keys()].join());
          },
        })
        .uid('directory'),
    );
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'directory', cause: 'state outside of the job' }]);
  });

  test('names the operator that reads a file', async () => {
    let reads = 0;
    const job = jobOf((stream) =>
      stream.map(({ sensor }) => `${sensor} ${fs.existsSync('/') ? ++reads : 0}`).uid('lookup'),
    );
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'lookup', cause: 'external call' }]);
    expect(result.outsideCalls).toEqual([{ operator: 'lookup', call: 'fs.existsSync()', kind: 'external' }]);
  });

  test('names an asynchronous function that calls outside after it has waited', async () => {
    const job = jobOf((stream) =>
      stream
        .asyncMap(async ({ sensor }) => {
          await Promise.resolve();
          return `${sensor} ${Math.random()}`;
        })
        .uid('enrich'),
    );
    const result = await simulateJob(job, { inputs: { readings: readings.slice(0, 10) }, seeds: 3 });
    expect(result.violations).toMatchObject([{ operator: 'enrich', cause: 'random number' }]);
  });

  test('gives retry.if the error itself, so that the undisturbed run makes the same retries', async () => {
    const job = jobOf((stream) =>
      stream
        .asyncMap(
          async ({ sensor }, { attempt }) => {
            if (attempt === 1) throw new TypeError('busy');
            return sensor;
          },
          { retry: { attempts: 2, delay: milliseconds(5), if: (error) => error instanceof TypeError } },
        )
        .uid('lookup'),
    );
    const faults = { clockJumps: false };
    assertDeterministic(await simulateJob(job, { inputs: { readings: readings.slice(0, 10) }, seeds: 5, faults }));
  });

  test('names an asynchronous operator when its timeout decides', async () => {
    const job = jobOf((stream) =>
      stream
        .asyncMap(
          async ({ sensor, time }, { attempt }) => {
            if (attempt < 3) throw new Error('busy');
            return `${sensor} ${time}`;
          },
          {
            timeout: milliseconds(50),
            onTimeout: () => 'given up',
            retry: { attempts: 3, delay: milliseconds(10) },
          },
        )
        .uid('lookup'),
    );
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'lookup', cause: 'processing time' }]);
  });

  test('compares changes as the table they leave, and one by one when asked to', async () => {
    const job = defineJob('table', (env) => {
      const [left, right] = ['left', 'right'].map((uid) => source(env, uid)) as [Stream<Reading>, Stream<Reading>];
      left
        .union(right)
        .keyBy(({ sensor }) => sensor)
        .aggregate({ total: sum(({ value }) => value) }, { updating: true })
        .uid('totals')
        .collect('out', { key: ({ key }) => key });
    });
    const inputs = { left: readings, right: readings.map((reading) => ({ ...reading, value: reading.value + 100 })) };
    assertDeterministic(await simulateJob(job, { inputs, seeds }));
    const each = await simulateJob(job, { inputs, seeds, sinks: { out: { changes: 'each' } } });
    expect(each.violations).toMatchObject([{ operator: 'totals', cause: 'order of two inputs' }]);
  });

  test('finds a wrong row in a table of changes', async () => {
    const job = jobOf((stream) =>
      stream
        .map((reading) => ({ ...reading, value: Math.random() }))
        .uid('noise')
        .keyBy(({ sensor }) => sensor)
        .aggregate({ total: sum(({ value }) => value) }, { updating: true })
        .changes(),
    );
    const table = defineJob('noisy', (env) => {
      source(env)
        .map((reading) => ({ ...reading, value: Math.random() }))
        .uid('noise')
        .keyBy(({ sensor }) => sensor)
        .aggregate({ total: sum(({ value }) => value) }, { updating: true })
        .collect('out', { key: ({ key }) => key });
    });
    for (const one of [job, table]) {
      const result = await simulateJob(one, { inputs: { readings }, seeds: 3 });
      expect(result.violations).toMatchObject([{ operator: 'noise', cause: 'random number' }]);
    }
  });

  test('says that the order of two inputs matters when a reduce of a union depends on it', async () => {
    const job = defineJob('ordered', (env) => {
      const [left, right] = ['left', 'right'].map((uid) => source(env, uid)) as [Stream<Reading>, Stream<Reading>];
      left
        .union(right)
        .keyBy(({ sensor }) => sensor)
        .reduce((before, { sensor, time, value }) => ({ sensor, time, value: before.value * 2 + value }))
        .uid('folded')
        .collect('out');
    });
    const inputs = { left: readings, right: readings.map((reading) => ({ ...reading, value: reading.value + 1 })) };
    const result = await simulateJob(job, { inputs, seeds });
    expect(result.violations).toMatchObject([{ operator: 'folded', cause: 'order of two inputs' }]);
  });

  test('says that the order between splits matters when a reduce depends on it', async () => {
    const job = jobOf((stream) =>
      stream
        .keyBy(() => 0)
        .reduce((before, after) => ({ ...after, value: before.value - after.value * 2 }))
        .uid('folded'),
    );
    const result = await simulateJob(job, {
      inputs: { readings: splits(readings.slice(0, 30), readings.slice(30)) },
      seeds,
    });
    expect(result.violations).toMatchObject([{ operator: 'folded', cause: 'order of two inputs' }]);
  });

  test('says that processing time matters when results depend on it', async () => {
    const job = jobOf((stream) =>
      stream
        .keyBy(({ sensor }) => sensor)
        .process(emits<string>(), {
          onRecord: ({ sensor }, context) => context.emit(`${sensor} ${context.processingTimeMs}`),
        })
        .uid('stamped'),
    );
    const result = await simulateJob(job, { inputs: { readings }, seeds });
    expect(result.violations).toMatchObject([{ operator: 'stamped', cause: 'processing time' }]);
  });

  test('compares the order of the records of a key when asked to', async () => {
    const job = jobOf((stream) =>
      stream
        .rebalance()
        .map(({ sensor, time }) => ({ sensor, time }))
        .uid('spread'),
    );
    const inputs = { readings };
    expect(await simulateJob(job, { inputs, seeds })).toMatchObject({ deterministic: true });
    const ordered = { out: { orderedBy: ({ sensor }: Reading) => sensor } };
    const result = await simulateJob(job, { inputs, seeds, sinks: ordered });
    expect(result.violations[0]?.difference).toMatchObject({ sink: 'out', reordered: true, missingCount: 0 });
    // The records are the same everywhere: where they are spread is where their order is lost.
    expect(result.violations[0]).toMatchObject({ operator: 'spread', cause: 'order' });
    expect(result.violations[0]?.explanation).toMatch(/nothing is said of the order.*in place of rebalance/);
    expect(await simulateJob(job, { inputs, seeds, sinks: { out: { ignore: true } } })).toMatchObject({
      deterministic: true,
    });
  });

  test('names the operator where streams meet when only the order of a key differs', async () => {
    const job = defineJob('met', (env) => {
      const [left, right] = ['left', 'right'].map((uid) => source(env, uid)) as [Stream<Reading>, Stream<Reading>];
      left
        .union(right)
        .keyBy(({ sensor }) => sensor)
        .process(emits<Reading>(), { onRecord: (reading, context) => context.emit(reading) })
        .uid('met')
        .map(({ sensor, value }) => ({ sensor, value }))
        .uid('behind')
        .collect('out');
    });
    const inputs = { left: readings, right: readings.map((reading) => ({ ...reading, value: reading.value + 100 })) };
    assertDeterministic(await simulateJob(job, { inputs, seeds }));
    const sinks = { out: { orderedBy: ({ sensor }: Reading) => sensor } };
    const result = await simulateJob(job, { inputs, seeds, sinks });
    expect(result.violations).toMatchObject([{ operator: 'met', cause: 'order', difference: { reordered: true } }]);
  });

  test('does not count the stacks of failed records as a difference, but their messages', async () => {
    const failed = outputTag<FailedRecord<Reading>>('failed');
    let calls = 0;
    const job = (message: () => string) =>
      jobOf((stream) =>
        stream
          .map((_): Reading => {
            const error = new Error(message());
            error.stack = `at line ${++calls}`;
            throw error;
          })
          .uid('broken')
          .onError(sideOutput(failed))
          .sideOutput(failed)
          .map((one) => ({ all: [one] }))
          .uid('wrap'),
      );
    assertDeterministic(
      await simulateJob(
        job(() => 'oops'),
        { inputs: { readings }, seeds: 3 },
      ),
    );
    const result = await simulateJob(
      job(() => `oops ${calls}`),
      { inputs: { readings }, seeds: 3 },
    );
    expect(result.violations).toMatchObject([{ operator: 'broken' }]);
  });

  test('gives the same violation when a seed is run again', async () => {
    const job = jobOf((stream) =>
      stream
        .keyBy(() => 0)
        .reduce((before, after) => ({ ...after, value: before.value - after.value * 2 }))
        .uid('folded'),
    );
    const inputs = { readings: splits(readings.slice(0, 30), readings.slice(30)) };
    const { violations } = await simulateJob(job, { inputs, seeds });
    const again = await simulateJob(job, { inputs, seeds: 1, firstSeed: violations[0]?.seed ?? 0 });
    expect(again.violations).toEqual(violations);
  });

  test('leaves the globals as they were', async () => {
    const before = [Date, Math.random, globalThis.fetch, fs.readFileSync];
    await simulateJob(
      jobOf((stream) => stream),
      { inputs: { readings }, seeds: 1 },
    );
    expect([Date, Math.random, globalThis.fetch, fs.readFileSync]).toEqual(before);
    expect(Date).toBe(before[0]);
  });

  test('refuses what makes no sense', async () => {
    const job = jobOf((stream) => stream);
    await expect(simulateJob(job, { inputs: { readings: [checkpoint()] } })).rejects.toThrow(
      /has a checkpoint: the simulation decides/,
    );
    await expect(simulateJob(job, { seeds: 0 })).rejects.toThrow(/seeds is 0/);
    await expect(simulateJob(job, { faults: { crash: 1 } as never })).rejects.toThrow(
      /no fault 'crash', did you mean 'crashes'/,
    );
    await expect(simulateJob(job, { sinks: { outs: {} } })).rejects.toThrow(/no sink 'outs', did you mean 'out'/);
    const broken = jobOf((stream) =>
      stream
        .map((): number => {
          throw new Error('always');
        })
        .uid('broken'),
    );
    await expect(simulateJob(broken, { inputs: { readings } })).rejects.toThrow(/operator 'broken' threw: always/);
  });
});
