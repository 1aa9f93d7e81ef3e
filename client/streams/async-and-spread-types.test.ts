/** Types of partitioners, asynchronous calls and function objects; `tsc` checks this file, running it plans the jobs. */
import { expect, expectTypeOf, test } from 'vitest';
import {
  defineJob,
  type FailedRecord,
  type FunctionContext,
  type FunctionObject,
  type JobEnvironment,
  outputTag,
  seconds,
  sideOutput,
  type Stream,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Flight {
  date: number;
  delay: number;
  origin: string;
}
type RecordOf<S> = S extends Stream<infer T> ? T : never;

function kindsOf(define: (env: JobEnvironment) => void): string[] {
  const { graph } = defineJob('types', define).plan({ parallelism: 2 });
  return graph.vertices.flatMap((vertex) => vertex.operators.map((operator) => operator.kind));
}

test('asynchronous calls give the type that their promise has', () => {
  const slow = outputTag<FailedRecord<Flight>>('slow');
  const kinds = kindsOf((env) => {
    const flights = env.from(testSource<Flight>());
    const mapped = flights.asyncMap(async (flight, { signal, attempt }) => {
      expectTypeOf(flight).toEqualTypeOf<Readonly<Flight>>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(attempt).toEqualTypeOf<number>();
      return { from: flight.origin };
    });
    expectTypeOf<RecordOf<typeof mapped>>().toEqualTypeOf<{ from: string }>();
    const items = flights.asyncFlatMap(async (flight) => [flight.date, flight.delay], {
      order: 'unordered',
      timeout: seconds(1),
      onTimeout: (flight) => [flight.date],
    });
    expectTypeOf<RecordOf<typeof items>>().toEqualTypeOf<number>();
    const object = flights.asyncMap(
      {
        open: (context: FunctionContext) => void context.attempt,
        call: async (flight: Readonly<Flight>) => flight.delay,
      },
      { onTimeout: sideOutput(slow), retry: { attempts: 2, delay: 0, if: (error) => error instanceof TypeError } },
    );
    expectTypeOf<RecordOf<typeof object>>().toEqualTypeOf<number>();
    // @ts-expect-error what takes the place of an answer has the type of an answer
    flights.asyncMap(async (flight) => flight.delay, { onTimeout: () => 'none' });
    // @ts-expect-error the function promises a record
    flights.asyncFlatMap(async (flight) => flight.delay);
    mapped.print();
  });
  expect(kinds.filter((kind) => kind === 'async-map')).toHaveLength(5);
});

test('partitioners keep the type of the stream, and a custom one gets the key it asked for', () => {
  const kinds = kindsOf((env) => {
    const flights = env.from(testSource<Flight>());
    for (const spread of [flights.rescale(), flights.shuffle(), flights.global(), flights.forward()])
      expectTypeOf<RecordOf<typeof spread>>().toEqualTypeOf<Flight>();
    const custom = flights.partitionCustom(
      (flight) => flight.origin,
      (origin, partitionCount) => {
        expectTypeOf(origin).toEqualTypeOf<string>();
        return origin.length % partitionCount;
      },
    );
    expectTypeOf<RecordOf<typeof custom>>().toEqualTypeOf<Flight>();
    const wrong = (origin: string): string => origin;
    // @ts-expect-error a partition is a number
    flights.partitionCustom((flight) => flight.origin, wrong);
    custom.print();
  });
  expect(kinds.length).toBeGreaterThan(2);
});

test('function objects are taken by broadcastInput and reduce, and keep the types of functions', () => {
  const kinds = kindsOf((env) => {
    const flights = env.from(testSource<Flight>());
    const side = env.from(testSource<number>()).uid('side');
    const joined = flights.broadcastInput(side, (all) => all.length);
    const late: FunctionObject<(flight: Readonly<Flight>, size: number) => boolean> = {
      call: (flight, size) => flight.delay > size,
    };
    const kept = joined.filter(late);
    expectTypeOf<RecordOf<typeof kept>>().toEqualTypeOf<Flight>();
    const mapped = joined.map({ call: (flight: Readonly<Flight>, size: number) => flight.delay * size });
    expectTypeOf<RecordOf<typeof mapped>>().toEqualTypeOf<number>();
    const items = joined.flatMap({ call: (flight: Readonly<Flight>) => [flight.origin] });
    expectTypeOf<RecordOf<typeof items>>().toEqualTypeOf<string>();
    const largest = flights
      .keyBy((flight) => flight.origin)
      .reduce({ call: (left, right) => (left.delay > right.delay ? left : right) });
    expectTypeOf<RecordOf<typeof largest>>().toEqualTypeOf<Flight>();
    kept.print();
  });
  expect(kinds.filter((kind) => kind === 'broadcast-input')).toHaveLength(3);
});
