/** What `withTimestamps` refuses and warns of, with the words. */
import { describe, expect, test } from 'vitest';
import {
  bounded,
  customWatermarks,
  defineJob,
  type FailedRecord,
  minutes,
  monotonous,
  noWatermarks,
  outputTag,
  punctuated,
  seconds,
  sideOutput,
  type Stream,
  type TimestampOptions,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Reading {
  readonly time: number;
}

const planned = (
  options: TimestampOptions<Reading>,
  {
    then,
    boundedness = 'bounded',
  }: { then?: (times: Stream<Reading>) => void; boundedness?: 'bounded' | 'unbounded' } = {},
) =>
  defineJob('job', (env) => {
    const times = env
      .from(testSource<Reading>({ boundedness }), { uid: 'source' })
      .withTimestamps((reading) => reading.time, options)
      .uid('times');
    times.print().uid('sink');
    then?.(times);
  }).plan({ parallelism: 1 });

const configOf = (options: TimestampOptions<Reading>) =>
  planned(options)
    .graph.vertices.flatMap((vertex) => vertex.operators)
    .find((operator) => operator.id === 'times')?.config;

describe('withTimestamps refuses', () => {
  const broken = (options: object): TimestampOptions<Reading> => options as TimestampOptions<Reading>;
  const cases: [string, () => TimestampOptions<Reading>, RegExp][] = [
    ['no options', () => undefined as never, /needs options/],
    ['options without a strategy', () => broken({}), /needs outOfOrderness, or watermarks/],
    [
      'a strategy of no kind',
      () => broken({ watermarks: { kind: 'periodic' } }),
      /needs outOfOrderness, or watermarks/,
    ],
    [
      'two strategies',
      () => broken({ outOfOrderness: 1, watermarks: monotonous() }),
      /outOfOrderness and watermarks.*keep one/,
    ],
    ['an unknown option', () => broken({ outOfOrderness: 1, idleTimout: 5 }), /no option 'idleTimout'; there are/],
    ['a negative out-of-orderness', () => ({ outOfOrderness: -1 }), /outOfOrderness is -1/],
    ['a strategy bounded by nothing', () => ({ watermarks: bounded(Number.NaN) }), /bounded is NaN/],
    [
      'a hand-made strategy bounded by nothing',
      () => broken({ watermarks: { kind: 'bounded', outOfOrdernessMs: -5 } }),
      /bounded is -5/,
    ],
    ['punctuated without a function', () => ({ watermarks: punctuated('x' as never) }), /punctuated needs a function/],
    ['custom without a function', () => ({ watermarks: customWatermarks({} as never) }), /customWatermarks needs/],
    ['an idle timeout of 0', () => ({ outOfOrderness: 0, idleTimeout: 0 }), /idleTimeout is 0/],
    [
      'a reaction to bad timestamps that does not exist',
      () => broken({ outOfOrderness: 0, onBadTimestamp: 'ignore' }),
      /onBadTimestamp is "ignore"/,
    ],
    [
      'the late output for bad timestamps',
      () => ({ outOfOrderness: 0, onBadTimestamp: { sideOutput: 'late' } }),
      /'late' is reserved/,
    ],
    ['a bound that is no time', () => ({ outOfOrderness: 0, maxTimestamp: Number.NaN }), /maxTimestamp is NaN/],
    ['a bound out of range', () => ({ outOfOrderness: 0, minTimestamp: -9e15 }), /minTimestamp is -9000000000000000/],
    [
      'bounds that leave nothing',
      () => ({ outOfOrderness: 0, minTimestamp: 2, maxTimestamp: 1 }),
      /minTimestamp 2 is after maxTimestamp 1/,
    ],
    [
      'a lower bound after the default upper one',
      () => ({ outOfOrderness: 0, minTimestamp: Date.UTC(3001, 0) }),
      /minTimestamp \d+ is after the year 2999.*set maxTimestamp/,
    ],
    ['a negative distance to the clock', () => ({ outOfOrderness: 0, maxAheadOfClock: -1 }), /maxAheadOfClock is -1/],
    [
      'an alignment group without a name',
      () => ({ outOfOrderness: 0, alignment: { group: '', maxDrift: 1 } }),
      /alignment.group ""/,
    ],
    [
      'an alignment without a drift',
      () => broken({ outOfOrderness: 0, alignment: { group: 'a' } }),
      /alignment.maxDrift is undefined/,
    ],
    [
      'an alignment that is never updated',
      () => ({ outOfOrderness: 0, alignment: { group: 'a', maxDrift: 1, updateInterval: 0 } }),
      /alignment.updateInterval is 0/,
    ],
    [
      'an alignment without watermarks',
      () => ({ watermarks: noWatermarks(), alignment: { group: 'a', maxDrift: 1 } }),
      /alignment needs watermarks/,
    ],
  ];
  test.each(cases)('%s', (_what, options, message) => {
    expect(() => planned(options())).toThrow(
      expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) }),
    );
  });

  test('an alignment group in a side, which the main stream waits for', () => {
    const define = (aligned: boolean) =>
      defineJob('side', (env) => {
        const read = (uid: string, options: object) =>
          env
            .from(testSource<Reading>(), { uid })
            .withTimestamps((reading) => reading.time, { outOfOrderness: 0, ...options });
        const alignment = { group: 'a', maxDrift: minutes(1) };
        read('main', { alignment })
          .broadcastInput(
            read('side', aligned ? { alignment } : {}).map((reading) => reading),
            (all) => all.length,
          )
          .map((reading) => reading)
          .print();
      }).plan({ parallelism: 1 });
    expect(() => define(true)).toThrow(/has a source of alignment group 'a' in its side.*remove alignment there/);
    expect(() => define(false)).not.toThrow();
  });

  test('a side output that is not that of its bad timestamps', () => {
    const then = (times: Stream<Reading>): void =>
      void (times as never as { sideOutput: (tag: object) => Stream<Reading> }).sideOutput(outputTag('other')).print();
    expect(() => planned({ outOfOrderness: 0, onBadTimestamp: { sideOutput: 'bad' } }, { then })).toThrow(
      /reads side output 'other' of 'times'/,
    );
  });
});

describe('the plan of withTimestamps', () => {
  test('with outOfOrderness is what it always was, so that old checkpoints fit', () => {
    const expected = { outOfOrdernessMs: 5_000, idleTimeoutMs: null, onBadTimestamp: 'fail', onError: 'fail' };
    expect(configOf({ outOfOrderness: seconds(5) })).toEqual(expected);
    expect(configOf({ watermarks: bounded(seconds(5)) })).toEqual(expected);
  });

  test('says which strategy decides and what is bad, and nothing of alignment', () => {
    const options: TimestampOptions<Reading> = {
      watermarks: punctuated(() => null),
      onBadTimestamp: sideOutput(outputTag<FailedRecord>('bad')),
      minTimestamp: 0,
      maxTimestamp: 9,
      maxAheadOfClock: 7,
      alignment: { group: 'a', maxDrift: minutes(1) },
    };
    expect(configOf(options)).toEqual({
      watermarks: 'punctuated',
      idleTimeoutMs: null,
      onBadTimestamp: { sideOutput: 'bad' },
      minTimestampMs: 0,
      maxTimestampMs: 9,
      maxAheadOfClockMs: 7,
      onError: 'fail',
    });
  });

  test('warns of a side output of bad timestamps that nobody reads', () => {
    const { warnings } = planned({ outOfOrderness: 0, onBadTimestamp: sideOutput(outputTag<FailedRecord>('bad')) });
    expect(warnings).toContainEqual(expect.stringMatching(/bad timestamps of 'times' go to side output 'bad'/));
  });

  test('warns of an unbounded source that could make its alignment group wait for ever', () => {
    const alignment = { group: 'a', maxDrift: minutes(1) };
    const warnings = (idleTimeout: object, boundedness: 'bounded' | 'unbounded') =>
      planned({ outOfOrderness: 0, alignment, ...idleTimeout }, { boundedness }).warnings;
    expect(warnings({}, 'unbounded')).toContainEqual(expect.stringMatching(/alignment group 'a' without idleTimeout/));
    expect(warnings({ idleTimeout: 5 }, 'unbounded')).toEqual([]);
    expect(warnings({}, 'bounded')).toEqual([]);
  });
});
