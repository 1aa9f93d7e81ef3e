/** What cannot be planned of partitioners, chaining, slot-sharing groups and asynchronous calls, with the words of each refusal. */
import { describe, expect, test } from 'vitest';
import { graphHash } from '../../core/graph/graph-hash.ts';
import {
  type AsyncOptions,
  defineJob,
  type FailedRecord,
  type JobEnvironment,
  outputTag,
  sideOutput,
  type SourceStream,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

const from = (env: JobEnvironment): SourceStream<Reading> => env.from(testSource<Reading>(), { uid: 'in' });
const times = { outOfOrderness: 0 };
const answer = (reading: Readonly<Reading>): Promise<Reading> => Promise.resolve(reading);
const asyncWith =
  (options: unknown) =>
  (env: JobEnvironment): void =>
    void from(env)
      .asyncMap(answer, options as AsyncOptions<Reading, Reading>)
      .print();

describe('planning refuses', () => {
  const cases: [string, (env: JobEnvironment) => void, RegExp][] = [
    [
      'forward between operators of different parallelism',
      (env) =>
        void from(env)
          .forward()
          .map((r) => r)
          .uid('a')
          .parallelism(3)
          .print(),
      /'a' is fed by forward\(\) and has parallelism 3, but 'in' has 2; use the same parallelism, or rescale\(\) or rebalance\(\)/,
    ],
    [
      'a key after a partitioner',
      (env) =>
        void from(env)
          .partitionCustom(
            (r) => r.sensor,
            () => 0,
          )
          .keyBy((r) => r.sensor),
      /keyBy decides where records go; remove partitionCustom\(\.\.\.\) before it/,
    ],
    [
      'two partitioners in a row',
      (env) => void from(env).shuffle().global(),
      /global\(\) decides where records go; remove shuffle\(\) before it/,
    ],
    [
      'partitionCustom without a key',
      (env) => void from(env).partitionCustom('sensor' as never, () => 0),
      /partitionCustom: first argument needs a function/,
    ],
    [
      'partitionCustom without a function',
      (env) => void from(env).partitionCustom((r) => r.sensor, 3 as never),
      /partitionCustom: second argument needs a function/,
    ],
    [
      'timestamps after an exchange',
      (env) =>
        void from(env)
          .rescale()
          .withTimestamps((r) => r.time, times)
          .uid('t')
          .print(),
      /'t' gives timestamps after an exchange \('rescale' after 'in'\)/,
    ],
    [
      'timestamps after an asynchronous call',
      (env) =>
        void from(env)
          .asyncMap(answer)
          .uid('a')
          .withTimestamps((r) => r.time, times)
          .uid('t')
          .print(),
      /'t' gives timestamps after 'a' \(async-map\); call withTimestamps before/,
    ],
    [
      'timestamps in a chain of their own',
      (env) =>
        void from(env)
          .withTimestamps((r) => r.time, times)
          .uid('t')
          .startNewChain()
          .print(),
      /'t' calls startNewChain\(\), but must be in the chain of its source until withTimestamps.*call it on the operator after/,
    ],
    [
      'an operator before timestamps alone',
      (env) =>
        void from(env)
          .map((r) => r)
          .uid('m')
          .disableChaining()
          .withTimestamps((r) => r.time, times)
          .print(),
      /'m' calls disableChaining\(\), but must be in one chain with its source and withTimestamps/,
    ],
    [
      'a source alone that has timestamps',
      (env) =>
        void from(env)
          .disableChaining()
          .withTimestamps((r) => r.time, times)
          .print(),
      /'in' calls disableChaining\(\)/,
    ],
    [
      'timestamps in another slot-sharing group than their source',
      (env) =>
        void from(env)
          .withTimestamps((r) => r.time, times)
          .uid('t')
          .slotSharingGroup('x')
          .print(),
      /'t' is in slot-sharing group 'x' and 'in' in 'default'.*set the group on the source/,
    ],
    [
      'a slot-sharing group without a name',
      (env) => void from(env).slotSharingGroup('').print(),
      /slotSharingGroup "" is not an id/,
    ],
    [
      'chaining that is no boolean',
      (env) => {
        env.options({ chaining: 'no' as never });
        from(env).print();
      },
      /chaining is no; use true or false/,
    ],
    [
      'an asynchronous call without a function',
      (env) => void from(env).asyncMap({} as never),
      /asyncMap needs a function or an object with a method 'call'/,
    ],
    ['options that are none', asyncWith(null), /asyncMap: options are null; use an object/],
    [
      'an unknown order',
      asyncWith({ order: 'random' }),
      /asyncMap: order is "random"; use 'ordered' \(default\) or 'unordered'/,
    ],
    [
      'an unknown option',
      asyncWith({ timeoutMs: 5 }),
      /asyncMap: option 'timeoutMs' is unknown; there are order, capa/,
    ],
    [
      'an unknown option of a retry',
      asyncWith({ retry: { attempts: 2, delay: 1, jitter: 1 } }),
      /asyncMap: retry option 'jitter' is unknown; there are attempts/,
    ],
    ['a capacity of 0', asyncWith({ capacity: 0 }), /asyncMap: capacity is 0; use a whole number of 1 or more/],
    ['a capacity without bound', asyncWith({ capacity: 100_001 }), /asyncMap: capacity is 100001; use at most 100000/],
    [
      'a timeout of 0',
      asyncWith({ timeout: 0 }),
      /asyncMap: timeout is 0; use a whole number of milliseconds of 1 or more/,
    ],
    ['a timeout without bound', asyncWith({ timeout: Number.POSITIVE_INFINITY }), /asyncMap: timeout is Infinity/],
    ['an unknown onTimeout', asyncWith({ onTimeout: 'drop' }), /asyncMap: onTimeout takes 'fail', 'skip', sideOutput/],
    ['a retry that is no options', asyncWith({ retry: 3 }), /asyncMap: retry takes \{ attempts, delay \}/],
    [
      'a single attempt as retry',
      asyncWith({ retry: { attempts: 1, delay: 0 } }),
      /retry\.attempts is 1; it counts the first call too, so use a whole number of 2 or more/,
    ],
    ['a retry without delay', asyncWith({ retry: { attempts: 2 } }), /asyncMap: retry\.delay is undefined/],
    ['a shrinking backoff', asyncWith({ retry: { attempts: 2, delay: 1, backoff: 0.5 } }), /retry\.backoff is 0\.5/],
    ['a bad longest delay', asyncWith({ retry: { attempts: 2, delay: 1, maxDelay: -1 } }), /retry\.maxDelay is -1/],
    [
      'a condition that is no function',
      asyncWith({ retry: { attempts: 2, delay: 1, if: true } }),
      /retry\.if needs a function/,
    ],
    [
      'a timeout output that the operator does not have',
      (env) => void from(env).asyncMap(answer).uid('a').sideOutput(outputTag('slow')).print(),
      /reads side output 'slow' of 'a', which never sends to it/,
    ],
  ];
  test.each(cases)('%s', (_, define, message) => {
    expect(() => defineJob('job', define).plan({ parallelism: 2 })).toThrow(
      expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) as string }),
    );
  });
});

describe('planning an asynchronous call', () => {
  const slow = outputTag<FailedRecord<Reading>>('slow');

  test('lays out its options and leaves what does not matter for state out of the hash', () => {
    const planned = (options: AsyncOptions<Reading, Reading>) =>
      defineJob('job', (env) => void from(env).asyncMap(answer, options).uid('a').print()).plan({}).graph;
    const operatorOf = (options: AsyncOptions<Reading, Reading>) =>
      planned(options)
        .vertices.flatMap((vertex) => vertex.operators)
        .find((operator) => operator.id === 'a');
    expect(operatorOf({})).toMatchObject({
      stateful: true,
      config: { order: 'ordered', flat: false, onTimeout: 'fail', onError: 'fail' },
      tuning: { capacity: 100, timeoutMs: 10_000, retry: null },
    });
    const retry = { attempts: 3, delay: 100 };
    expect(operatorOf({ order: 'unordered', onTimeout: (r) => r, retry })).toMatchObject({
      config: { order: 'unordered', onTimeout: 'call' },
      tuning: { retry: { attempts: 3, delayMs: 100, maxDelayMs: null, backoff: 1 } },
    });
    const hash = (options: AsyncOptions<Reading, Reading>) => graphHash(planned(options));
    expect(hash({ capacity: 7, timeout: 1, retry })).toBe(hash({}));
    expect(hash({ order: 'unordered' })).not.toBe(hash({}));
    expect(hash({ onTimeout: 'skip' })).not.toBe(hash({}));
  });

  test('reads the output of records that were not answered in time, and warns when nobody does', () => {
    const planned = (read: boolean) =>
      defineJob('job', (env) => {
        const looked = from(env)
          .asyncMap(answer, { onTimeout: sideOutput(slow) })
          .uid('a');
        looked.print();
        if (read) looked.sideOutput(slow).print();
      }).plan({});
    expect(planned(true).warnings.filter((warning) => warning.includes('slow'))).toEqual([]);
    expect(planned(false).warnings).toContainEqual(
      expect.stringMatching(/records not answered in time by 'a' go to side output 'slow', which nobody reads/),
    );
  });
});
