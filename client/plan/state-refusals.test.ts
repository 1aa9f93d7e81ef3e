/** What `process` and `connect` refuse when a job is defined, with the words of each refusal. */
import { expect, test } from 'vitest';
import {
  aggregatingState,
  defineJob,
  type JobEnvironment,
  listState,
  mapState,
  operatorListState,
  reducingState,
  type Stream,
  valueState,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

type Define = (stream: Stream<number>, env: JobEnvironment) => unknown;
const nothing = (): void => {};
const keyed =
  (state: object): Define =>
  (stream) =>
    stream.keyBy((n) => n).process({ state: state as never, onRecord: nothing });
const plain =
  (process: object): Define =>
  (stream) =>
    stream.process({ onRecord: nothing, ...process } as never);
const broadcast =
  (process: object): Define =>
  (stream, env) =>
    stream
      .keyBy((n) => n)
      .connect(env.from(testSource<number>()).broadcast())
      .process({ onRecord: nothing, onBroadcast: nothing, ...process } as never);

const cases: [string, Define, RegExp][] = [
  ['a ttl of 0', keyed({ n: valueState({ ttl: 0 }) }), /ttl of state 'n' is 0/],
  ['a ttl that is no number', keyed({ n: listState({ ttl: '5m' as never }) }), /ttl of state 'n' is 5m/],
  ['an unknown ttlUpdate', keyed({ n: mapState({ ttl: 5, ttlUpdate: 'never' as never }) }), /'onWrite' or 'onRead'/],
  ['an unknown time', keyed({ n: mapState({ ttl: 5, time: 'wall' as never }) }), /'processing' or 'event'/],
  ['how a ttl works without one', keyed({ n: valueState({ time: 'event' }) }), /has none; add ttl/],
  ['an option that does not exist', keyed({ n: valueState({ tll: 5 } as never) }), /no option 'tll'/],
  [
    'reducing without a function',
    keyed({ n: reducingState(5 as never) }),
    /reducingState of state 'n' needs a function/,
  ],
  ['aggregating no aggregate', keyed({ n: aggregatingState({} as never) }), /'n' is not an aggregate/],
  ['a list of the subtask with a key', keyed({ n: operatorListState() }), /use listState<T>\(\) here/],
  ['keyed state without a key', plain({ state: { n: valueState() } }), /declared with operatorListState/],
  ['an unknown mode', plain({ state: { n: operatorListState({ mode: 'all' as never }) } }), /'split' or 'union'/],
  ['timers without a key', plain({ onTimer: nothing }), /timers belong to a key/],
  ['a function without onRecord', (stream) => stream.process({} as never), /onRecord needs a function/],
  [
    'a function of two streams without onSecond',
    (stream, env) => stream.connect(env.from(testSource<number>())).process({ onFirst: nothing } as never),
    /onSecond needs a function/,
  ],
  ['no broadcast state', broadcast({}), /declares broadcastState/],
  [
    'broadcast state that is no map',
    broadcast({ broadcastState: { r: valueState() } }),
    /'r' is declared with mapState/,
  ],
  ['broadcast state with a ttl', broadcast({ broadcastState: { r: mapState({ ttl: 5 }) } }), /'r' has a ttl/],
  [
    'one name for a state and a broadcast state',
    broadcast({ broadcastState: { r: mapState() }, state: { r: valueState() } }),
    /'r' is both/,
  ],
  [
    'state beside a broadcast stream without a key',
    (stream, env) =>
      stream
        .connect(env.from(testSource<number>()).broadcast())
        .process({ state: {}, broadcastState: {}, onRecord: nothing, onBroadcast: nothing } as never),
    /has broadcastState only/,
  ],
  [
    'a keyed stream connected to one without a key',
    (stream, env) => stream.keyBy((n) => n).connect(env.from(testSource<number>()) as never),
    /needs another keyed stream or a broadcast one/,
  ],
  [
    'a stream connected to a keyed one',
    (stream, env) => stream.connect(env.from(testSource<number>()).keyBy((n) => n) as never),
    /connect needs a stream of this job/,
  ],
  [
    'keys after a rebalance',
    (stream, env) =>
      stream
        .rebalance()
        .connect(env.from(testSource<number>()))
        .keyBy(
          (n) => n,
          (n) => n,
        ),
    /remove rebalance\(\) or broadcast\(\)/,
  ],
];

test.each(cases)('process and connect refuse %s', (_what, define, message) => {
  const attempt = (): unknown =>
    defineJob('job', (env) => void define(env.from(testSource<number>()), env)).plan({ parallelism: 2 });
  expect(attempt).toThrow(expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) }));
});
