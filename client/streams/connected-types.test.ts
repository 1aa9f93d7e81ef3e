/** Types and plans of `connect`, broadcast state and `process` without key. `tsc` checks this file, too. */
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  aggregatingState,
  avg,
  count,
  defineJob,
  emits,
  type JobEnvironment,
  type JobGraph,
  listState,
  mapState,
  minutes,
  operatorListState,
  outputTag,
  reducingState,
  type Stream,
  valueState,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Order {
  id: string;
  cents: number;
}
interface Payment {
  order: string;
  paid: number;
}
type RecordOf<S> = S extends Stream<infer T> ? T : never;

function planOf(define: (env: JobEnvironment, orders: Stream<Order>, payments: Stream<Payment>) => void): JobGraph {
  return defineJob('connected', (env) => {
    const orders = env.from(testSource<Order>(), { uid: 'orders' });
    define(env, orders, env.from(testSource<Payment>(), { uid: 'payments', parallelism: 1 }));
  }).plan({ parallelism: 2 }).graph;
}
const edgesTo = (graph: JobGraph, vertex: string): string[] =>
  graph.edges
    .filter((edge) => edge.targetVertex === vertex)
    .map((edge) => `${edge.sourceVertex} ${edge.partitioner} ${edge.targetInput}`);
const nodeOf = (graph: JobGraph, id: string) =>
  graph.vertices.flatMap((vertex) => vertex.operators).find((operator) => operator.id === id);

describe('connect', () => {
  test('with two keys gives one keyed function, its inputs spread by their own keys', () => {
    const alarm = outputTag<string>('alarm');
    const graph = planOf((_env, orders, payments) => {
      const matched = orders
        .connect(payments)
        .keyBy(
          (order) => order.id,
          (payment) => payment.order,
        )
        .process(emits<{ key: string; cents: number }>(), {
          state: {
            order: valueState<Order>({ ttl: minutes(10) }),
            cents: listState<number>(),
            least: reducingState<number>((left, right) => Math.min(left, right)),
            mean: aggregatingState(avg((payment: Payment) => payment.paid)),
            seen: mapState<string, Date>(),
          },
          onFirst(order, { key, state, emit }) {
            expectTypeOf(order).toEqualTypeOf<Readonly<Order>>();
            expectTypeOf(key).toEqualTypeOf<string>();
            expectTypeOf(state.order.value()).toEqualTypeOf<Order | undefined>();
            expectTypeOf([...state.cents]).toEqualTypeOf<number[]>();
            expectTypeOf(state.least.value()).toEqualTypeOf<number | undefined>();
            expectTypeOf(state.mean.value()).toEqualTypeOf<number | undefined>();
            // @ts-expect-error an order is not what the aggregate takes
            state.mean.add(order);
            // @ts-expect-error the output has a number
            emit({ key, cents: 'many' });
          },
          onSecond(payment, { output, timers }) {
            expectTypeOf(payment).toEqualTypeOf<Readonly<Payment>>();
            timers.registerEventTime(1);
            output(alarm, payment.order);
          },
        })
        .uid('matched');
      expectTypeOf<RecordOf<typeof matched>>().toEqualTypeOf<{ key: string; cents: number }>();
      matched.print();
      matched.sideOutput(alarm).print();
    });
    expect(edgesTo(graph, 'matched')).toEqual(['orders hash 0', 'payments hash 1']);
    expect(nodeOf(graph, 'matched')).toMatchObject({
      kind: 'co-process',
      stateful: true,
      config: {
        states: {
          order: 'value',
          cents: 'list',
          least: 'reducing',
          mean: { kind: 'aggregating', aggregate: { kind: 'avg' } },
          seen: 'map',
        },
      },
    });
  });

  test('of keyed streams is the same', () => {
    const graph = planOf((_env, orders, payments) => {
      orders
        .keyBy((order) => order.id)
        .connect(payments.keyBy((payment) => payment.order))
        .process(emits<number>(), { onFirst: (order, { emit }) => emit(order.cents), onSecond: () => {} })
        .uid('both')
        .print();
    });
    expect(edgesTo(graph, 'both')).toEqual(['orders hash 0', 'payments hash 1']);
  });

  test('without key keeps records where they are and has functions for each stream', () => {
    const graph = planOf((_env, orders, payments) => {
      const both = orders.connect(payments);
      const mapped = both
        .map(
          (order) => order.cents,
          (payment) => payment.paid,
        )
        .uid('mapped');
      expectTypeOf<RecordOf<typeof mapped>>().toEqualTypeOf<number>();
      mapped.print();
      both
        .process({
          state: { open: operatorListState<Order>() },
          onFirst: (order, { state }) => state.open.add(order),
          onSecond: () => {},
        })
        .uid('plain')
        .print();
    });
    expect(edgesTo(graph, 'mapped')).toEqual(['orders forward 0', 'payments rebalance 1']);
    expect(nodeOf(graph, 'mapped')).toMatchObject({ kind: 'co-flat-map', stateful: false });
    expect(nodeOf(graph, 'plain')).toMatchObject({
      kind: 'plain-co-process',
      stateful: true,
      config: { states: { open: { kind: 'operator-list', mode: 'split' } } },
    });
  });

  test('with a broadcast stream picks the function with broadcast state', () => {
    const graph = planOf((_env, orders, payments) => {
      orders
        .keyBy((order) => order.id)
        .connect(payments.broadcast())
        .process(emits<string>(), {
          broadcastState: { rules: mapState<string, number>() },
          state: { n: aggregatingState(count()) },
          onRecord(order, { broadcastState, state, emit }) {
            expectTypeOf(broadcastState.rules.get(order.id)).toEqualTypeOf<number | undefined>();
            expectTypeOf(state.n.value()).toEqualTypeOf<number | undefined>();
            // @ts-expect-error records only read broadcast state
            broadcastState.rules.set('a', 1);
            emit(order.id);
          },
          onBroadcast(payment, { broadcastState, forEachKey }) {
            broadcastState.rules.set(payment.order, payment.paid);
            forEachKey('n', (key, n) => {
              expectTypeOf(key).toEqualTypeOf<string>();
              expectTypeOf(n.value()).toEqualTypeOf<number | undefined>();
            });
            // @ts-expect-error no such state
            forEachKey('m', () => {});
          },
        })
        .uid('keyed')
        .print();
      orders
        .connect(payments.broadcast())
        .process(emits<string>(), {
          broadcastState: { rules: mapState<string, number>() },
          onRecord: (order, { emit }) => emit(order.id),
          onBroadcast: (payment, { broadcastState }) => broadcastState.rules.delete(payment.order),
        })
        .uid('plain')
        .print();
    });
    expect(edgesTo(graph, 'keyed')).toEqual(['orders hash 0', 'payments broadcast 1']);
    expect(edgesTo(graph, 'plain')).toEqual(['orders forward 0', 'payments broadcast 1']);
    expect(nodeOf(graph, 'keyed')?.config).toMatchObject({
      states: { n: { kind: 'aggregating', aggregate: { kind: 'count' } } },
      broadcastStates: { rules: 'map' },
    });
  });

  test('process without key is chained, and keeps what it declares', () => {
    const graph = planOf((_env, orders) => {
      const ids = orders.process(emits<string>(), { onRecord: (order, { emit }) => emit(order.id) }).uid('ids');
      expectTypeOf<RecordOf<typeof ids>>().toEqualTypeOf<string>();
      ids.print();
    });
    expect(graph.vertices.find((vertex) => vertex.id === 'orders')?.operators.map(({ id }) => id)).toContain('ids');
    expect(nodeOf(graph, 'ids')).toMatchObject({ kind: 'plain-process', stateful: false });
  });
});
