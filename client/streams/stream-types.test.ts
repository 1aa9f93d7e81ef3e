/**
 * Types are part of the API: what is inferred, and what must not compile. `tsc` checks this file (an unused
 * `@ts-expect-error` is an error); running it shows that the same jobs can also be planned.
 */
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  purging,
  countTrigger,
  countEvictor,
  avg,
  count,
  defineJob,
  emits,
  type FailedRecord,
  first,
  hours,
  type JobEnvironment,
  type KeyedProcessFunction,
  last,
  mapState,
  max,
  min,
  minutes,
  outputTag,
  type ProcessContext,
  params,
  quantile,
  quantileSketch,
  seconds,
  sideOutput,
  type Stream,
  sum,
  topN,
  tumbling,
  aggregateOf,
  type ValueStateDeclaration,
  valueState,
} from '../index.ts';
import { testSink, testSource } from '../test-connectors.test-support.ts';

interface Flight {
  date: number;
  delay: number;
  origin: string;
}
type RecordOf<S> = S extends Stream<infer T> ? T : never;

/** Plans a job whose body is under test; returns the operator kinds. */
function kindsOf(define: (env: JobEnvironment) => void): string[] {
  const { graph } = defineJob('types', define).plan({ parallelism: 2 });
  return graph.vertices.flatMap((vertex) => vertex.operators.map((operator) => operator.kind));
}

describe('types of streams', () => {
  test('of windows and joins flow from trigger, function and both streams', () => {
    const define = (env: JobEnvironment): void => {
      const keyed = env.from(testSource<Flight>()).keyBy((f) => f.origin);
      const others = env.from(testSource<{ gate: number }>()).keyBy((gate) => `${gate.gate}`);
      const windows = keyed
        .window(tumbling(10))
        .trigger(purging(countTrigger(5)))
        .evictor(countEvictor(3));
      const delays = windows.aggregate({ mean: avg((f) => f.delay) }, ({ key, mean }) => `${key} ${mean}`);
      expectTypeOf<RecordOf<typeof delays>>().toEqualTypeOf<string>();
      expectTypeOf<RecordOf<ReturnType<typeof delays.late>>>().toEqualTypeOf<Flight>();
      const slowest = windows.reduce((a, b) => (b.delay > a.delay ? b : a));
      expectTypeOf<RecordOf<typeof slowest>>().toEqualTypeOf<Flight>();
      const counted = windows.process(emits<number>(), {
        windowState: { seen: valueState<boolean>() },
        onWindow(flights, { key, windowState, emit }) {
          expectTypeOf(flights).toEqualTypeOf<readonly Readonly<Flight>[]>();
          expectTypeOf(key).toEqualTypeOf<string>();
          expectTypeOf(windowState.seen.value()).toEqualTypeOf<boolean | undefined>();
          emit(flights.length);
        },
      });
      expectTypeOf<RecordOf<typeof counted>>().toEqualTypeOf<number>();
      const joined = keyed.windowJoin(others, tumbling(10), { type: 'left' }, (flight, gate) => {
        expectTypeOf(flight).toEqualTypeOf<Readonly<Flight>>();
        expectTypeOf(gate).toEqualTypeOf<Readonly<{ gate: number }> | null>();
        return { delay: flight.delay, gate: gate?.gate ?? null };
      });
      expectTypeOf<RecordOf<typeof joined>>().toEqualTypeOf<{ delay: number; gate: number | null }>();
      expectTypeOf<RecordOf<ReturnType<typeof joined.lateSecond>>>().toEqualTypeOf<{ gate: number }>();
      const grouped = keyed.coGroup(others, tumbling(10), (flights, gates, { key }) => [
        [key, flights.length, gates.map((gate) => gate.gate)] as const,
      ]);
      expectTypeOf<RecordOf<typeof grouped>>().toEqualTypeOf<readonly [string, number, number[]]>();
      keyed.windowJoin(
        others,
        tumbling(10),
        { trigger: countTrigger(2), allowedLateness: 5 },
        (a, b) => a.delay + b.gate,
      );
    };
    expect(define).toBeTypeOf('function');
  });

  test('flow from source to sink when nothing is annotated', () => {
    const kinds = kindsOf((env) => {
      const flights = env.from(testSource<Flight>());
      expectTypeOf<RecordOf<typeof flights>>().toEqualTypeOf<Flight>();
      const results = flights
        .withTimestamps((f) => f.date + f.delay * 60_000, { outOfOrderness: hours(24) })
        .keyBy((f) => f.origin)
        .window(tumbling(hours(1)))
        .aggregate({ flights: count(), mean: avg((f) => f.delay), p95: quantile(0.95, (f) => f.delay) });
      expectTypeOf<RecordOf<typeof results>>().toEqualTypeOf<{
        key: string;
        windowStart: number;
        windowEnd: number;
        flights: number;
        mean: number;
        p95: number;
      }>();
      const late = results.uid('delays').name('delays').parallelism(2).late();
      expectTypeOf<RecordOf<typeof late>>().toEqualTypeOf<Flight>();
      late.to(testSink<Flight>());
      results.map((r) => ({ hour: r.windowStart, mean: r.mean })).to(testSink<{ hour: number; mean: number }>());
    });
    expect(kinds).toContain('window-aggregate');
  });

  test('of every aggregate are those of its result', () => {
    const kinds = kindsOf((env) => {
      const results = env
        .from(testSource<Flight>())
        .keyBy((f) => [f.origin, f.delay > 0])
        .aggregate({
          n: count(),
          total: sum((f) => f.delay),
          least: min((f) => f.delay),
          most: max((f) => f.delay),
          mean: avg((f) => f.delay),
          exact: quantile(0.5, (f) => f.delay),
          near: quantileSketch(0.5, (f) => f.delay, { relativeAccuracy: 0.01 }),
          origin: first((f) => f.origin),
          latest: last((f) => ({ at: f.date })),
          worst: topN(3, (f) => f.delay, { ties: (f) => f.date }),
          custom: aggregateOf({
            create: () => new Set<string>(),
            add: (seen, f) => seen.add(f.origin),
            merge: (left, right) => new Set([...left, ...right]),
            result: (seen) => seen.size,
          }),
        });
      expectTypeOf<RecordOf<typeof results>>().toEqualTypeOf<{
        key: readonly [string, boolean];
        n: number;
        total: number;
        least: number;
        most: number;
        mean: number;
        exact: number;
        near: number;
        origin: string;
        latest: { at: number };
        worst: Readonly<Flight>[];
        custom: number;
      }>();
      results.print();
    });
    expect(kinds).toContain('aggregate');
  });

  test('of aggregates over plain numbers are those of its result', () => {
    const plusOne = (value: number): number => value + 1;
    const kinds = kindsOf((env) => {
      const results = env
        .from(testSource<number>())
        .keyBy((n) => n % 10)
        .aggregate({
          mean: avg((n) => n + 1),
          next: sum(plusOne),
          median: quantile(0.5, plusOne),
          best: topN(2, (n) => n),
        });
      expectTypeOf<RecordOf<typeof results>>().toEqualTypeOf<{
        key: number;
        mean: number;
        next: number;
        median: number;
        best: number[];
      }>();
      results.print();
    });
    expect(kinds).toContain('aggregate');
  });

  test('are narrowed by a filter when its predicate is a type guard', () => {
    type Event = { kind: 'bid'; price: number } | { kind: 'person'; name: string };
    const kinds = kindsOf((env) => {
      const bids = env.from(testSource<Event>()).filter((event) => event.kind === 'bid');
      expectTypeOf<RecordOf<typeof bids>['kind']>().toEqualTypeOf<'bid'>();
      const all = env.from(testSource<Event>()).filter((event) => event.kind.length > 1);
      expectTypeOf<RecordOf<typeof all>>().toEqualTypeOf<Event>();
      bids
        .map((bid) => bid.price)
        .union(all.map(() => 1))
        .print();
    });
    expect(kinds).toContain('filter');
  });

  test('of a function object are those of its call', () => {
    class Prefix {
      #prefix = '';
      open(): void {
        this.#prefix = '>';
      }
      call(flight: Readonly<Flight>): string {
        return this.#prefix + flight.origin;
      }
    }
    const kinds = kindsOf((env) => {
      const flights = env.from(testSource<Flight>());
      const prefixed = flights.map(new Prefix());
      expectTypeOf<RecordOf<typeof prefixed>>().toEqualTypeOf<string>();
      const letters = flights.flatMap({ call: (f) => f.origin.split('') });
      expectTypeOf<RecordOf<typeof letters>>().toEqualTypeOf<string>();
      prefixed
        .union(
          letters,
          flights.flatMap(function* (f) {
            yield f.origin;
          }),
        )
        .print();
    });
    expect(kinds.filter((kind) => kind === 'flat-map')).toHaveLength(2);
  });

  test('of a process function follow its state, tags and output when declared', () => {
    const slow = outputTag<{ origin: string }>('slow');
    const bad = outputTag<FailedRecord<Flight>>('bad');
    const kinds = kindsOf((env) => {
      const alerts = env
        .from(testSource<Flight>())
        .keyBy((f) => f.origin)
        .process(emits<{ text: string }>(), {
          state: { seen: valueState<number>(), byDay: mapState<number, string[]>() },
          onRecord(value, context) {
            expectTypeOf(value).toEqualTypeOf<Readonly<Flight>>();
            expectTypeOf(context.key).toEqualTypeOf<string>();
            expectTypeOf(context.state.seen.value()).toEqualTypeOf<number | undefined>();
            expectTypeOf(context.state.byDay.get(1)).toEqualTypeOf<string[] | undefined>();
            context.emit({ text: value.origin });
            context.output(slow, { origin: value.origin });
            // @ts-expect-error the output type was declared
            context.emit({ words: 1 });
            // @ts-expect-error the tag carries another type
            context.output(slow, 'LAX');
            // @ts-expect-error not declared
            context.state.other;
          },
          onTimer(timestampMs, context) {
            context.timers.registerEventTime(timestampMs + seconds(1));
          },
        })
        .onError(sideOutput(bad));
      expectTypeOf<RecordOf<typeof alerts>>().toEqualTypeOf<{ text: string }>();
      const slowOnes = alerts.sideOutput(slow);
      expectTypeOf<RecordOf<typeof slowOnes>>().toEqualTypeOf<{ origin: string }>();
      const failed = alerts.sideOutput(bad);
      expectTypeOf<RecordOf<typeof failed>['record']>().toEqualTypeOf<Flight>();
      alerts.print();
      slowOnes.print();
      failed.collect('failed');
    });
    expect(kinds).toContain('process');
  });

  test('of a process function are its own when it is a class', () => {
    type CountState = { n: ValueStateDeclaration<number> };
    class Count implements KeyedProcessFunction<Flight, string, number, CountState> {
      readonly state = { n: valueState<number>() };
      onRecord(_flight: Flight, context: ProcessContext<string, number, CountState>): void {
        const n = (context.state.n.value() ?? 0) + 1;
        context.state.n.update(n);
        context.emit(n);
      }
    }
    const kinds = kindsOf((env) => {
      const counts = env
        .from(testSource<Flight>())
        .keyBy((f) => f.origin)
        .process(new Count());
      expectTypeOf<RecordOf<typeof counts>>().toEqualTypeOf<number>();
      counts.print();
    });
    expect(kinds).toContain('process');
  });

  test('of a side object are those that build returns', () => {
    const kinds = kindsOf((env) => {
      const airports = env.from(testSource<{ iata: string; city: string }>());
      const named = env
        .from(testSource<Flight>())
        .broadcastInput(airports, (records) => new Map(records.map((a) => [a.iata, a.city])))
        .map((f, cities) => ({ city: cities.get(f.origin) ?? f.origin, delay: f.delay }));
      expectTypeOf<RecordOf<typeof named>>().toEqualTypeOf<{ city: string; delay: number }>();
      named.print();
    });
    expect(kinds).toContain('broadcast-input');
  });

  test('of parameters are those they are declared with', () => {
    const kinds = kindsOf((env) => {
      const values = env.params({
        input: params.string({ default: 'in' }),
        size: params.duration({ default: minutes(5) }),
        limit: params.integer({ default: 3 }),
        verbose: params.boolean({ default: false }),
        mode: params.choice(['fast', 'exact'], { default: 'fast' }),
      });
      expectTypeOf(values).toEqualTypeOf<{
        readonly input: string;
        readonly size: number;
        readonly limit: number;
        readonly verbose: boolean;
        readonly mode: 'fast' | 'exact';
      }>();
      // @ts-expect-error not one of the choices
      params.choice(['fast', 'exact'], { default: 'slow' });
      // @ts-expect-error a duration is a number of milliseconds
      params.duration({ default: '5m' });
      env.from(testSource<Flight>()).print();
    });
    expect(kinds).toContain('sink-writer');
  });

  test('refuse what makes no sense when it is written', () => {
    // Never run: each line but the first of a pair must fail to compile.
    const wrong = (env: JobEnvironment): void => {
      const flights = env.from(testSource<Flight>());
      const keyed = flights.keyBy((f) => f.origin);
      // @ts-expect-error no such field
      flights.map((f) => f.destination);
      // @ts-expect-error inputs are read-only
      flights.map((f) => (f.delay = 1));
      // @ts-expect-error an object is not a key
      flights.keyBy((f) => ({ origin: f.origin }));
      // @ts-expect-error a predicate gives a boolean
      flights.filter((f) => f.delay);
      // @ts-expect-error the call of a function object gives a boolean
      flights.filter({ call: (f) => f.delay });
      // @ts-expect-error a number is not iterable
      flights.flatMap((f) => f.delay);
      // @ts-expect-error the sink takes other records
      flights.to(testSink<{ other: string }>());
      // @ts-expect-error outOfOrderness has no default
      flights.withTimestamps((f) => f.date, {});
      // @ts-expect-error a timestamp is a number
      flights.withTimestamps((f) => f.origin, { outOfOrderness: 0 });
      // @ts-expect-error union needs the same records
      flights.union(flights.map((f) => f.origin));
      // @ts-expect-error an average is over numbers
      keyed.aggregate({ mean: avg((f) => f.origin) });
      // @ts-expect-error inputs are read-only
      keyed.aggregate({ mean: avg((f) => (f.delay = 1)) });
      // @ts-expect-error no such field
      keyed.aggregate({ total: sum((f) => f.nothing) });
      // @ts-expect-error a union of streams is no operator and has no uid
      flights.union(flights).uid('both');
      // @ts-expect-error only windows have late records
      keyed.reduce((left) => left).late();
      // @ts-expect-error a source has no user function that could throw
      flights.onError('skip');
      // @ts-expect-error a reduce gives what it takes
      keyed.reduce((left, right) => left.delay + right.delay);
      // @ts-expect-error the second side of a left join may be missing
      keyed.windowJoin(keyed, tumbling(1), { type: 'left' }, (a, b) => a.delay + b.delay);
      keyed.windowJoin(
        // @ts-expect-error a join needs streams of the same keys
        flights.keyBy((f) => f.delay),
        tumbling(1),
        {},
        (a) => a,
      );
      // @ts-expect-error without emits<...>() a window function emits nothing
      keyed.window(tumbling(1)).process({ onWindow: (all, context) => context.emit(all.length) });
      // @ts-expect-error the state of a trigger is declared
      keyed.window(tumbling(1)).trigger({ onElement: (_value, { state }) => state.seen.value() ?? 'fire' });
      // @ts-expect-error without emits<...>() nothing goes to the main output
      keyed.process({ onRecord: (f, context) => context.emit(f.origin) });
    };
    expect(wrong).toBeTypeOf('function');
  });
});
