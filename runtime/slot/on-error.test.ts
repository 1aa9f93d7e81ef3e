/** A throw is handled by the operator whose function threw, by its onError, and by no other. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  count,
  defineJob,
  emits,
  type JobEnvironment,
  minutes,
  outputTag,
  planJob,
  sideOutput,
  sum,
  tumbling,
  hours,
} from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import type { FailedRecord } from '../../client/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { SlotsHarness } from '../../testing/slots-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { memoryBackend } from '../state/backend.ts';

const backends = [
  ['memory', () => memoryBackend],
  ['cold', () => createColdTestBackend()],
] as const;

async function run(define: (env: JobEnvironment) => void, backend = memoryBackend): Promise<Map<string, unknown[]>> {
  const delivered = new Deliveries();
  const harness = new SlotHarness({
    job: planJob(defineJob('throws', define), {}),
    backend,
    onDelivery: delivered.take,
  });
  await (await harness.start()).finish();
  return delivered.channels;
}

const numbers = [1, 2, 3, 4];
/** Throws for 2. */
const picky = (value: number): number => {
  if (value === 2) throw new TypeError('two is refused');
  return value;
};
const bad = outputTag<FailedRecord<number>>('bad');
const failedBy = (operator: string) => ({
  code: 'USER_FUNCTION_FAILED',
  ids: { operator },
  cause: expect.objectContaining({ message: 'two is refused' }),
});

describe.each(backends)('onError beside the %s backend', (_, backend) => {
  it('is that of the keyed operator when a key selector throws', async () => {
    const results = await run((env) => {
      const totals = env
        .from(collection(numbers), { uid: 'numbers' })
        .map((value) => value)
        .onError('fail')
        .keyBy((value) => picky(value) % 2)
        .aggregate({ records: count() })
        .uid('totals')
        .onError(sideOutput(bad));
      totals.collect('totals');
      totals.sideOutput(bad).collect('bad');
    }, backend());
    expect(results.get('totals')).toEqual([
      { key: 1, records: 1 },
      { key: 1, records: 2 },
      { key: 0, records: 1 },
    ]);
    expect(results.get('bad')).toMatchObject([
      { record: 2, operator: 'totals', message: 'two is refused', stack: expect.stringContaining('TypeError') },
    ]);
  });

  it('is that of the keyed operator when a key is refused', async () => {
    const results = await run((env) => {
      env
        .from(collection(numbers), { uid: 'numbers' })
        .keyBy((value) => (value === 2 ? (undefined as unknown as number) : value))
        .reduce((left, right) => left + right)
        .onError('skip')
        .collect('kept');
    }, backend());
    expect(results.get('kept')).toEqual([1, 3, 4]);
  });

  it('covers the selectors of aggregates and of windows', async () => {
    const results = await run((env) => {
      const records = env
        .from(collection(numbers), { uid: 'numbers' })
        .withTimestamps((value) => value, { outOfOrderness: minutes(1) });
      const keyed = records.keyBy(() => 'all');
      keyed
        .aggregate({ total: sum(picky) })
        .onError('skip')
        .collect('rolling');
      keyed
        .window(tumbling(hours(1)))
        .aggregate({ total: sum(picky) })
        .onError('skip')
        .collect('hourly');
    }, backend());
    expect(results.get('rolling')).toEqual([1, 4, 8].map((total) => ({ key: 'all', total })));
    expect(results.get('hourly')).toEqual([{ key: 'all', windowStart: 0, windowEnd: 3_600_000, total: 8 }]);
  });
});

describe('onError', () => {
  it('fails the attempt naming the keyed operator when a key selector throws and nothing else is said', async () => {
    const job = run((env) => {
      env
        .from(collection(numbers), { uid: 'numbers' })
        .map((value) => value)
        .onError('skip')
        .keyBy(picky)
        .aggregate({ records: count() })
        .uid('totals')
        .collect('totals');
    });
    await expect(job).rejects.toMatchObject(failedBy('totals'));
  });

  it.each(['fail', 'skip'] as const)('covers withTimestamps: %s', async (reaction) => {
    const job = run((env) => {
      env
        .from(collection(numbers), { uid: 'numbers' })
        .withTimestamps(picky, { outOfOrderness: minutes(1) })
        .uid('times')
        .onError(reaction)
        .collect('timed');
    });
    if (reaction === 'fail') await expect(job).rejects.toMatchObject(failedBy('times'));
    else expect((await job).get('timed')).toEqual([1, 3, 4]);
  });

  it('cannot save an operator whose side object was not built', async () => {
    const job = run((env) => {
      const side = env.from(collection([2]), { uid: 'side' });
      env
        .from(collection(numbers), { uid: 'numbers' })
        .broadcastInput(side, (records) => records.map(picky))
        .map((value) => value)
        .uid('joined')
        .onError('skip')
        .collect('joined');
    });
    await expect(job).rejects.toMatchObject({
      ...failedBy('joined'),
      message: expect.stringContaining('building the side input'),
    });
  });

  it.each(['fail', 'skip'] as const)('never shows in the emit of an operator upstream: %s', async (reaction) => {
    const caught: unknown[] = [];
    const job = run((env) => {
      env
        .from(collection(numbers), { uid: 'numbers' })
        .keyBy(() => 'all')
        .process(emits<number>(), {
          onRecord: (value, context) => {
            try {
              context.emit(value);
            } catch (error) {
              caught.push(error);
            }
          },
        })
        .map(picky)
        .uid('downstream')
        .onError(reaction)
        .collect('kept');
    });
    if (reaction === 'fail') await expect(job).rejects.toMatchObject(failedBy('downstream'));
    else expect((await job).get('kept')).toEqual([1, 3, 4]);
    expect(caught).toEqual([]);
  });
});

describe('onError over an exchange', () => {
  async function runAtThree(define: (env: JobEnvironment) => void): Promise<Map<string, unknown[]>> {
    const delivered = new Deliveries();
    const job = planJob(defineJob('throws', define), { parallelism: 3 });
    const harness = new SlotsHarness({ job, onDelivery: delivered.take });
    started.push(harness);
    await (await harness.start()).finish();
    return delivered.channels;
  }
  let started: SlotsHarness[] = [];
  afterEach(async () => {
    for (const harness of started) await harness.kill();
    started = [];
  });

  it('is that of the keyed operator when a key selector throws where the record is sent', async () => {
    const results = await runAtThree((env) => {
      const sums = env
        .from(collection([1, 2, 3, 4, 2]), { uid: 'numbers' })
        .map((value) => value)
        .keyBy(picky)
        .reduce((left, right) => left + right)
        .uid('sums')
        .onError(sideOutput(bad));
      sums.collect('sums');
      sums.sideOutput(bad).collect('bad');
    });
    expect([...(results.get('sums') ?? [])].sort()).toEqual([1, 3, 4]);
    expect(results.get('bad')).toMatchObject([
      { record: 2, operator: 'sums' },
      { record: 2, operator: 'sums' },
    ]);
  });

  it('never shows in the emit of a function when a value cannot be sent', async () => {
    const caught: unknown[] = [];
    const job = runAtThree((env) => {
      env
        .from(collection(numbers), { uid: 'numbers' })
        .keyBy((value) => value)
        .process(emits<unknown>(), {
          onRecord: (_, context) => {
            try {
              for (let index = 0; index < 2_000; index++) context.emit({ call: () => index });
            } catch (error) {
              caught.push(error);
            }
          },
        })
        .uid('emitter')
        .rebalance()
        .map((value) => value)
        .collect('values');
    });
    await expect(job).rejects.toMatchObject({ code: 'VALUE_NOT_ENCODABLE', ids: { operator: 'emitter' } });
    expect(caught).toEqual([]);
  });
});
