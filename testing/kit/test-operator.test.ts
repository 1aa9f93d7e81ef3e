import { describe, expect, test } from 'vitest';
import { count, emits, hours, mapState, outputTag, type Stream, tumbling, valueState } from '../../client/index.ts';
import { testOperator } from './index.ts';

interface Click {
  readonly user: string;
  readonly page: string;
}

const repeated = outputTag<Click>('repeated');
const hour = 3_600_000;

/** Counts pages of a user, remembers which, and says goodbye when it is quiet for 100 ms. */
const clicks = (stream: Stream<Click>) =>
  stream
    .keyBy((click) => click.user)
    .process(emits<string>(), {
      state: { count: valueState<number>(), pages: mapState<string, number>() },
      onRecord(click, context) {
        const seen = (context.state.count.value() ?? 0) + 1;
        context.state.count.update(seen);
        if (context.state.pages.has(click.page)) context.output(repeated, click);
        context.state.pages.set(click.page, seen);
        context.timers.registerProcessingTime(context.processingTimeMs + 100);
        if (!Number.isNaN(context.timestamp)) context.timers.registerEventTime(context.timestamp + 10);
        context.emit(`${click.user} ${seen}`);
      },
      onTimer: (time, context) => context.emit(`${context.key} ${context.timeDomain} ${time}`),
    });

describe.each(['memory', 'cold'] as const)('testOperator on the %s backend', (backend) => {
  test('gives outputs, side outputs, state and timers of a keyed function', async () => {
    const h = await testOperator(clicks, { backend, startTimeMs: 1000 });
    await h.push({ user: 'ada', page: '/' }, { timestamp: 5 });
    await h.push({ user: 'ada', page: '/' });
    expect(h.records()).toEqual([
      { value: 'ada 1', timestampMs: 5, rowKind: 0 },
      { value: 'ada 2', timestampMs: null, rowKind: 0 },
    ]);
    expect(h.outputs()).toEqual([]);
    expect(h.sideOutput(repeated)).toEqual([{ user: 'ada', page: '/' }]);
    expect(await h.state('count', 'ada')).toBe(2);
    expect(await h.state('pages', 'ada')).toEqual(new Map([['/', 2]]));
    expect(await h.state('count', 'bob')).toBeUndefined();
    expect(h.timers()).toEqual([
      { key: 'ada', timeMs: 15, domain: 'event' },
      { key: 'ada', timeMs: 1100, domain: 'processing' },
    ]);
    await h.watermark(15);
    await h.advanceProcessingTime(99);
    expect(h.outputs()).toEqual(['ada event 15']);
    await h.advanceProcessingTime(1);
    expect(h.outputs()).toEqual(['ada processing 1100']);
    expect(h.timers()).toEqual([]);
    await h.close();
  });

  test('goes on from a snapshot at another parallelism', async () => {
    const h = await testOperator(clicks, { backend });
    const users = ['ada', 'bob', 'cyd', 'dan'];
    for (const user of users) await h.push({ user, page: '/' });
    const snapshot = h.snapshot();
    for (const user of users) await h.push({ user, page: '/lost' });
    await h.restore(snapshot, { parallelism: 3 });
    for (const user of users) await h.push({ user, page: '/docs' });
    expect(h.outputs().sort()).toEqual(users.map((user) => `${user} 2`));
    expect(await h.state('pages', 'dan')).toEqual(
      new Map([
        ['/', 1],
        ['/docs', 2],
      ]),
    );
    await h.restore(h.snapshot(), { parallelism: 1 });
    expect(
      h
        .timers()
        .map(({ key }) => key)
        .sort(),
    ).toEqual(users);
    await h.close();
  });

  test('fires windows by watermark and hands over late records', async () => {
    const h = await testOperator(
      (stream: Stream<Click>) =>
        stream
          .keyBy((click) => click.user)
          .window(tumbling(hours(1)))
          .aggregate({ clicks: count() }),
      { backend },
    );
    await h.push({ user: 'ada', page: '/' }, { timestamp: 1 });
    await h.watermark(hour);
    expect(h.outputs()).toEqual([{ key: 'ada', windowStart: 0, windowEnd: hour, clicks: 1 }]);
    await h.push({ user: 'ada', page: '/late' }, { timestamp: 2 });
    // Of a split that is behind: on time.
    await h.push({ user: 'bob', page: '/' }, { timestamp: hour + 1, splitWatermark: 0 });
    expect(h.late()).toEqual([{ user: 'ada', page: '/late' }]);
    expect(h.counters()).toEqual({ lateRecords: 1 });
    await expect(h.watermark(5)).rejects.toThrow(/does not go back/);
    await h.close();
  });
});

describe('testOperator', () => {
  test('runs an operator without keys', async () => {
    const h = await testOperator((stream: Stream<number>) => stream.filter((n) => n > 1));
    await h.push(1);
    await h.push(2);
    expect(h.outputs()).toEqual([2]);
  });

  test('fails with what the function threw, naming the operator', async () => {
    const h = await testOperator((stream: Stream<number>) =>
      stream.map((): number => {
        throw new Error('not today');
      }),
    );
    await expect(h.push(1)).rejects.toThrow(/operator 'map-1' threw: not today/);
  });

  test('gives the changes of an updating operator with their kinds', async () => {
    const h = await testOperator((stream: Stream<Click>) =>
      stream.keyBy((click) => click.user).aggregate({ clicks: count() }, { updating: true }),
    );
    await h.push({ user: 'ada', page: '/' });
    await h.push({ user: 'ada', page: '/' });
    const changes = h.records().map(({ rowKind, value }) => [rowKind, value.clicks]);
    expect(changes).toEqual([
      [0, 1],
      [1, 1],
      [2, 2],
    ]);
    await h.close();
  });

  test('refuses what is not one operator', async () => {
    await expect(testOperator((stream: Stream<number>) => stream)).rejects.toThrow(/makes no operator/);
    const two = (stream: Stream<number>) => stream.map((n) => n).filter(() => true);
    await expect(testOperator(two)).rejects.toThrow(/makes 2 operators \(map-1, filter-1\)/);
    await expect(testOperator(() => undefined as never)).rejects.toThrow(/returns no stream/);
  });

  test('refuses what the operator does not have', async () => {
    const h = await testOperator(clicks);
    await expect(h.state('total', 'ada')).rejects.toThrow(/declares no state 'total': it has 'count', 'pages'/);
    await expect(h.pushSecond(undefined as never)).rejects.toThrow(/has no second input/);
    await expect(h.restore({ operator: 'reduce', rows: [] })).rejects.toThrow(/does not fit/);
    await expect(h.advanceProcessingTime(-1)).rejects.toThrow(/does not go back/);
    await h.close();
    await expect(h.push({ user: 'a', page: '/' })).rejects.toThrow(/is closed/);
  });
});
