/** One record that becomes many: generators are paused without room, everything else is bounded and fails by name. */
import { describe, expect, it } from 'vitest';
import { count, defineJob, emits, hours, minutes, planJob, tumbling } from '../../client/index.ts';
import type { JobEnvironment } from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness, type SlotHarnessOptions } from '../../testing/slot-harness.ts';
import { slowSink } from '../../testing/slow-sink.ts';

const plan = (define: (env: JobEnvironment) => void) => planJob(defineJob('many', define), {});

async function collected(
  job: SlotHarnessOptions['job'],
  options: Partial<SlotHarnessOptions> = {},
): Promise<Map<string, unknown[]>> {
  const delivered = new Deliveries();
  await (await new SlotHarness({ job, onDelivery: delivered.take, ...options }).start()).finish();
  return delivered.channels;
}

function* upTo(end: number, onItem: (index: number) => void = () => {}): Generator<number> {
  for (let index = 0; index < end; index++) {
    onItem(index);
    yield index;
  }
}

describe('a flatMap', () => {
  it.each(['chained to its source', 'at the head of a chain'])(
    'is pulled only as far as there is room when one record becomes ten million items, %s',
    async (where) => {
      const items = 10_000_000;
      let pulled = 0;
      let aheadMax = 0;
      const slow = slowSink<number>(20_000, () => {
        if (pulled - slow.written() > aheadMax) aheadMax = pulled - slow.written();
      });
      const job = plan((env) => {
        const one = env.from(collection([items]), { uid: 'one' });
        (where === 'at the head of a chain' ? one.rebalance() : one)
          .flatMap((end) => upTo(end, () => pulled++))
          .rebalance()
          .filter((item) => item >= 0)
          .to(slow.sink);
      });
      await (await new SlotHarness({ job }).start()).finish();
      expect(slow.written()).toBe(items);
      // What a channel may hold by its credit, and a batch under construction.
      expect(aheadMax).toBeLessThan(100_000);
    },
    60_000,
  );

  it('takes checkpoints between records and never within one when its items wait for room', async () => {
    const records = Array.from({ length: 40 }, (_, index) => index);
    const itemsOf = (record: number): number[] => [...upTo(5_000)].map((item) => record * 10_000 + item);
    const begun = new Set<number>();
    const job = plan((env) => {
      const items = env.from(collection(records), { uid: 'records' }).flatMap(function* (record) {
        begun.add(record);
        yield* itemsOf(record);
      });
      items.to(slowSink<number>(700).sink);
      items.collect('items');
    });
    const delivered = new Deliveries();
    let restore: SlotHarness['newest'] = null;
    let resumedWithin = 0;
    for (let attempt = 1; ; attempt++) {
      const harness: SlotHarness = await new SlotHarness({ job, restore, attempt, onDelivery: delivered.take }).start();
      if (attempt === 20) {
        await harness.finish();
        break;
      }
      await harness.checkpoint();
      await harness.kill();
      restore = harness.newest;
      if (begun.size > 0 && begun.size < records.length) resumedWithin++;
    }
    expect(resumedWithin).toBeGreaterThan(3);
    expect(delivered.channels.get('items')).toEqual(records.flatMap(itemsOf));
  });

  it('keeps order, timestamps and watermarks behind the remainder when a second flatMap and windows follow', async () => {
    const hour = 3_600_000;
    const records = Array.from({ length: 50 }, (_, index) => index * (hour / 10));
    const job = plan((env) => {
      const stream = env
        .from(collection(records), { uid: 'records' })
        .withTimestamps((at) => at, { outOfOrderness: minutes(0) })
        .flatMap((at) => Array.from({ length: 300 }, (_, index) => ({ at, index })))
        .flatMap(function* (item) {
          yield item;
          yield item;
          yield item;
          yield item;
        });
      const windows = stream
        .keyBy(() => 'all')
        .window(tumbling(hours(1)))
        .aggregate({ items: count() });
      windows.collect('windows');
      windows.late().collect('late');
      stream.map((item) => item.at + item.index / 1000).to(slowSink<number>(333).sink);
    });
    const results = await collected(job);
    expect(results.get('late') ?? []).toEqual([]);
    expect(results.get('windows')).toEqual(
      Array.from({ length: 5 }, (_, index) => ({
        key: 'all',
        windowStart: index * hour,
        windowEnd: (index + 1) * hour,
        items: 12_000,
      })),
    );
  });

  it('keeps the order of what was emitted when an operator that cannot be paused emits into it', async () => {
    const written: string[] = [];
    const slow = slowSink<string>(100, (item) => void written.push(item));
    const job = plan((env) => {
      env
        .from(collection(['a', 'b']), { uid: 'records' })
        .keyBy((name) => name)
        .process(emits<string>(), {
          onRecord: (name, context) => {
            for (let index = 0; index < 5; index++) context.emit(`${name}${index}`);
          },
        })
        .flatMap((name) => Array.from({ length: 3_000 }, (_, index) => `${name}:${index}`))
        .to(slow.sink);
    });
    await (await new SlotHarness({ job }).start()).finish();
    const expected = ['a', 'b'].flatMap((name) =>
      [0, 1, 2, 3, 4].flatMap((part) => Array.from({ length: 3_000 }, (_, index) => `${name}${part}:${index}`)),
    );
    expect(written).toEqual(expected);
  });

  it('handles a throw in the middle by its onError when the items before it had to wait', async () => {
    const job = plan((env) => {
      const items = env
        .from(collection([1, 2]), { uid: 'records' })
        .flatMap(function* (record) {
          yield* upTo(4_000);
          if (record === 1) throw new Error('half way');
          yield -1;
        })
        .onError('skip');
      items.filter((item) => item < 0).collect('ends');
      items.to(slowSink<number>(100).sink);
    });
    expect((await collected(job)).get('ends')).toEqual([-1]);
  });

  it('ends a generator that waits for room when the attempt is closed', async () => {
    let cleaned = false;
    const blocked = slowSink<number>(1);
    const job = plan((env) => {
      env
        .from(collection([1]), { uid: 'records' })
        .flatMap(function* () {
          try {
            for (;;) yield 1;
          } finally {
            cleaned = true;
          }
        })
        .to(blocked.sink);
    });
    const harness = await new SlotHarness({ job }).start();
    while (blocked.written() < 3) await new Promise((resolve) => setImmediate(resolve));
    await harness.kill();
    expect(cleaned).toBe(true);
  });
});

describe('one record', () => {
  const megabyte = 'x'.repeat(1024 * 1024);
  const flood = (copies: number) => (env: JobEnvironment) => {
    const records = env
      .from(collection([1]), { uid: 'one' })
      .keyBy((value) => value)
      .process(emits<{ text: string }>(), {
        onRecord: (_, context) => {
          for (let index = 0; index < copies; index++) context.emit({ text: `${index}${megabyte}` });
        },
      })
      .uid('flood');
    records
      .map((value) => value.text.length)
      .uid('lengths')
      .rebalance()
      .filter(() => false)
      .collect('lengths');
    records
      .rebalance()
      .map((value) => value.text.length)
      .collect('texts');
  };

  it('may emit beyond the room there is, up to the bound', async () => {
    expect((await collected(plan(flood(8)), { emitPerRecordMaxBytes: 16 * 1024 * 1024 })).get('texts')).toHaveLength(8);
  });

  it('fails the attempt naming the operator that emitted most when it passes the bound', async () => {
    await expect(collected(plan(flood(40)), { emitPerRecordMaxBytes: 16 * 1024 * 1024 })).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
      ids: { operator: 'flood' },
    });
  });

  it('fails the attempt naming the operator whose call emitted most, not the one behind it that handed it on', async () => {
    const job = plan((env) => {
      env
        .from(collection([1]), { uid: 'one' })
        .keyBy((value) => value)
        .process(emits<string>(), {
          onRecord: (_, context) => {
            for (let index = 0; index < 40; index++) context.emit(`${index}${megabyte}`);
          },
        })
        .uid('flood')
        .map((value) => value.concat('!'))
        .uid('behind')
        .rebalance()
        .map((value) => value.length)
        .collect('lengths');
    });
    await expect(collected(job, { emitPerRecordMaxBytes: 16 * 1024 * 1024 })).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
      ids: { operator: 'flood' },
      message: expect.stringContaining('in the chain flood, behind'),
    });
  });

  it('fails the attempt when it overfills a sink chained behind it', async () => {
    const job = plan((env) => {
      env
        .from(collection([1]), { uid: 'one' })
        .keyBy((value) => value)
        .process(emits<string>(), {
          onRecord: (_, context) => {
            for (let index = 0; index < 20; index++) context.emit(megabyte);
          },
        })
        .to(slowSink<string>(1).sink);
    });
    await expect(collected(job, { emitPerRecordMaxBytes: 4 * 1024 * 1024 })).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
    });
  });
});
