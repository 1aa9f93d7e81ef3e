/** Partitioners, slot-sharing groups and chaining through several slots over loopback TCP: where records go, and that results stay. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  count,
  defineJob,
  type JobEnvironment,
  minutes,
  milliseconds,
  type OperatorStream,
  planJob,
  seconds,
  type Stream,
  tumbling,
} from '../../client/index.ts';
import { generator } from '../../connectors/generator/index.ts';
import { rescaleTargets } from '../../core/graph/rescale-share.ts';
import { canonical, Deliveries } from '../../testing/deliveries.ts';
import { engineErrorOf } from '../../testing/operator-harness.ts';
import { SlotsHarness } from '../../testing/slots-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { memoryBackend } from '../state/backend.ts';

interface Hop {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** Adds the index of the subtask that it runs in. */
const marking = <In extends object, Name extends string>(name: Name) => {
  let subtask = -1;
  return {
    open: (context: { subtaskIndex: number }) => {
      subtask = context.subtaskIndex;
    },
    call: (value: Readonly<In>) => ({ ...value, [name]: subtask }) as In & Record<Name, number>,
  };
};

/** Where each of `records` went from `sources` subtasks to `targets`. */
async function hops(
  spread: (stream: OperatorStream<Omit<Hop, 'to'>>) => Stream<Omit<Hop, 'to'>>,
  sources: number,
  targets: number,
  records = 600,
): Promise<readonly Hop[]> {
  const delivered = new Deliveries();
  const definition = defineJob('hops', (env) => {
    const marked = env
      .from(generator({ count: records, splits: 12, make: (index) => ({ index }) }), { parallelism: sources })
      .map(marking<{ index: number }, 'from'>('from'))
      .parallelism(sources);
    spread(marked).map(marking<Omit<Hop, 'to'>, 'to'>('to')).parallelism(targets).collect('hops').parallelism(1);
  });
  const planAgain = () => planJob(definition);
  const harness = await new SlotsHarness({ job: planAgain(), planAgain, onDelivery: delivered.take }).start();
  await harness.finish();
  return (delivered.channels.get('hops') as Hop[]).toSorted((a, b) => a.index - b.index);
}

const indexes = (all: readonly Hop[]): number[] => all.map((hop) => hop.index);
const upTo = (end: number) => Array.from({ length: end }, (_, index) => index);
const shares = (all: readonly Hop[], targets: number): number[] =>
  upTo(targets).map((target) => all.filter((hop) => hop.to === target).length);

describe('records over slots', () => {
  it.each([
    [2, 4],
    [4, 2],
    [3, 2],
    [2, 3],
    [3, 3],
  ])('stay in the share of their subtask when %i subtasks rescale to %i', async (sources, targets) => {
    const all = await hops((stream) => stream.rescale(), sources, targets);
    expect(indexes(all)).toEqual(upTo(600));
    for (const source of upTo(sources)) {
      const share = rescaleTargets(source, sources, targets);
      const own = all.filter((hop) => hop.from === source);
      expect([...new Set(own.map((hop) => hop.to))].toSorted((a, b) => a - b)).toEqual(share);
      const each = share.map((target) => own.filter((hop) => hop.to === target).length);
      expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(1);
    }
  });

  it('all go to the first subtask when the stream is global, and the others end', async () => {
    const all = await hops((stream) => stream.global(), 2, 3);
    expect([indexes(all), shares(all, 3)]).toEqual([upTo(600), [600, 0, 0]]);
  });

  it('go everywhere when the stream is shuffled', async () => {
    const all = await hops((stream) => stream.shuffle(), 2, 3);
    expect(indexes(all)).toEqual(upTo(600));
    for (const share of shares(all, 3)) expect(Math.abs(share - 200)).toBeLessThan(60);
  });

  it('stay in their subtask when the stream is forwarded', async () => {
    const all = await hops((stream) => stream.forward(), 3, 3);
    expect(indexes(all)).toEqual(upTo(600));
    expect(all.every((hop) => hop.from === hop.to)).toBe(true);
  });

  it('go where a custom partitioner says', async () => {
    const spread = (stream: Stream<Omit<Hop, 'to'>>) =>
      stream.partitionCustom(
        (key: string, partitionCount) => (key === 'odd' ? partitionCount - 1 : 0),
        (hop) => (hop.index % 2 === 1 ? 'odd' : 'even'),
      );
    const all = await hops(spread, 2, 3);
    expect(all.every((hop) => hop.to === (hop.index % 2) * 2)).toBe(true);
    expect(indexes(all)).toEqual(upTo(600));
  });

  it('fail the job, naming the operator, when a custom partitioner gives no subtask', async () => {
    const error = await engineErrorOf(
      hops(
        (stream) =>
          stream.partitionCustom(
            (_, partitionCount) => partitionCount,
            (hop) => hop.index,
          ),
        2,
        2,
      ),
    );
    expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', ids: { operator: 'map-2' } });
  });

  it('come from each stream of a union by its own partitioner', async () => {
    const all = await hops(
      (stream) =>
        stream
          .filter((hop) => hop.index < 300)
          .parallelism(2)
          .global()
          .union(
            stream
              .filter((hop) => hop.index >= 300)
              .parallelism(2)
              .forward(),
          ),
      2,
      2,
    );
    expect(all.every((hop) => hop.to === (hop.index < 300 ? 0 : hop.from))).toBe(true);
    expect(indexes(all)).toEqual(upTo(600));
  });
});

interface Shape {
  readonly parallelism: number;
  readonly chaining: boolean;
  readonly hints: boolean;
  readonly groups: boolean;
  readonly spread: 'none' | 'rescale' | 'shuffle' | 'rebalance' | 'global';
}

/** Every exchange in one job: source, timestamps, async calls, windows by key, rolling totals, two sinks. */
const jobOf = ({ parallelism, chaining, hints, groups, spread }: Shape) =>
  planJob(
    defineJob('shaped', (env: JobEnvironment) => {
      env.options({ chaining });
      const source = generator({
        count: 2_000,
        splits: 4,
        make: (index, random) => ({ index, at: index * 500 - random.int(3_000), sensor: random.int(20) }),
      });
      const read = env
        .from(source, { uid: 'in' })
        .filter((reading) => reading.index % 10 !== 0)
        .withTimestamps((reading) => reading.at, { outOfOrderness: seconds(5) });
      const cleaned = read.map((reading) => ({ ...reading, late: false })).uid('clean');
      if (hints) cleaned.startNewChain();
      const moved = spread === 'none' ? cleaned : cleaned[spread]();
      const looked = moved
        .asyncMap((reading) => Promise.resolve({ ...reading, place: reading.sensor % 3 }), { order: 'unordered' })
        .uid('lookup');
      const checked = looked.filter((reading) => !reading.late).uid('checked');
      if (hints) checked.disableChaining();
      if (groups) looked.slotSharingGroup('io');
      const windows = checked
        .keyBy((reading) => reading.sensor)
        .window(tumbling(minutes(1)))
        .aggregate({ readings: count() })
        .uid('windows');
      if (groups) windows.slotSharingGroup('state');
      windows.map((window) => window).collect('windows');
      const totals = checked
        .keyBy((reading) => reading.place)
        .aggregate({ readings: count() })
        .uid('totals');
      totals.filter((total) => total.readings % 10 === 0).collect('totals');
    }),
    { parallelism },
  );

async function runShapes(shapes: readonly Shape[], backend: 'memory' | 'cold'): Promise<Map<string, unknown[]>> {
  const delivered = new Deliveries();
  let restore: SlotsHarness['newest'] = null;
  for (const [place, shape] of shapes.entries()) {
    const harness: SlotsHarness = await new SlotsHarness({
      job: jobOf(shape),
      restore,
      attempt: place + 1,
      backend: backend === 'memory' ? () => memoryBackend : () => createColdTestBackend(),
      onDelivery: delivered.take,
    }).start();
    if (place === shapes.length - 1) {
      await harness.finish();
      break;
    }
    await harness.checkpoint();
    await harness.checkpoint();
    await harness.kill();
    restore = harness.newest;
  }
  return delivered.channels;
}

const plain: Shape = { parallelism: 1, chaining: true, hints: false, groups: false, spread: 'none' };

const expectSame = (actual: Map<string, unknown[]>, expected: Map<string, unknown[]>): void => {
  for (const channel of ['windows', 'totals'])
    expect(canonical(actual.get(channel)), channel).toEqual(canonical(expected.get(channel)));
};

describe.each(['memory', 'cold'] as const)('a job, with the %s backend', (backend) => {
  it('gives the same results with and without chaining, hints and slot-sharing groups', {
    timeout: 60_000,
  }, async () => {
    const expected = await runShapes([plain], 'memory');
    expect(expected.get('windows')?.length).toBeGreaterThan(200);
    for (const change of [{ chaining: false }, { hints: true }, { groups: true }, { chaining: false, groups: true }])
      expectSame(await runShapes([{ ...plain, parallelism: 2, ...change }], backend), expected);
  });

  it('goes on with another shape than it was stopped with', { timeout: 60_000 }, async () => {
    const expected = await runShapes([plain], 'memory');
    const shape = fc.record({
      parallelism: fc.integer({ min: 1, max: 3 }),
      chaining: fc.boolean(),
      hints: fc.boolean(),
      groups: fc.boolean(),
      spread: fc.constantFrom('none' as const, 'rescale' as const, 'shuffle' as const, 'rebalance' as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(shape, { minLength: 2, maxLength: 3 }), async (shapes) => {
        expectSame(await runShapes(shapes, backend), expected);
      }),
      { numRuns: 5 },
    );
  });
});

it('watermarks of a rescaled stream wait for the share of a subtask only', async () => {
  const delivered = new Deliveries();
  const job = planJob(
    defineJob('shares', (env) => {
      const readings = env
        .from(generator({ count: 400, splits: 4, make: (index) => ({ index, at: index * 1000 }) }), { parallelism: 4 })
        .withTimestamps((reading) => reading.at, { outOfOrderness: milliseconds(0) });
      readings
        .rescale()
        .filter(() => true)
        .parallelism(2)
        .keyBy((reading) => reading.index % 7)
        .window(tumbling(minutes(1)))
        .aggregate({ readings: count() })
        .parallelism(3)
        .collect('windows');
    }),
  );
  const harness = await new SlotsHarness({ job, onDelivery: delivered.take }).start();
  await harness.finish();
  const windows = delivered.channels.get('windows') as { readings: number }[];
  expect(windows.reduce((sum, window) => sum + window.readings, 0)).toBe(400);
  expect(windows).toHaveLength(7 * 7);
});
