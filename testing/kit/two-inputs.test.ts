/** `testOperator` and `runJob` with operators of two inputs. */
import { describe, expect, test } from 'vitest';
import { collection } from '../../connectors/collection/index.ts';
import {
  defineJob,
  emits,
  listState,
  mapState,
  outputTag,
  type Stream,
  tumbling,
  valueState,
  milliseconds,
} from '../../client/index.ts';
import { at, checkpoint, crash, pause, runJob, testOperator, watermark } from './index.ts';

interface Order {
  readonly id: string;
  readonly cents: number;
}
interface Payment {
  readonly order: string;
  readonly paid: number;
}

const stray = outputTag<Payment>('stray');

/** An order is paid or not after 100 ms; a payment that comes before its order waits. */
const settled = (orders: Stream<Order>, payments: Stream<Payment>) =>
  orders
    .connect(payments)
    .keyBy(
      (order) => order.id,
      (payment) => payment.order,
    )
    .process(emits<string>(), {
      state: { open: valueState<number>(), early: listState<number>() },
      onFirst(order, { key, state, timers, timestamp, emit }) {
        const early = [...state.early.get()].reduce((sum, paid) => sum + paid, 0);
        if (early >= order.cents) return emit(`${key} paid before`);
        state.open.update(order.cents - early);
        timers.registerEventTime(timestamp + 100);
      },
      onSecond(payment, { key, state, emit, output }) {
        const open = state.open.value();
        if (payment.paid < 0) return output(stray, payment);
        if (open === null || open === undefined) return state.early.add(payment.paid);
        if (payment.paid < open) return state.open.update(open - payment.paid);
        state.open.clear();
        emit(`${key} paid`);
      },
      onTimer(timestampMs, { key, state, emit }) {
        const open = state.open.value();
        if (open !== null && open !== undefined) emit(`${key} owes ${open} at ${timestampMs}`);
      },
    });

describe.each(['memory', 'cold'] as const)('testOperator with two inputs on the %s backend', (backend) => {
  test('gives both inputs of a key the same state and timers, and side outputs of the second', async () => {
    const h = await testOperator(settled, { backend });
    await h.push({ id: 'a', cents: 5 }, { timestamp: 10 });
    await h.pushSecond({ order: 'a', paid: 2 }, { timestamp: 20 });
    await h.pushSecond({ order: 'b', paid: 9 }, { timestamp: 20 });
    await h.pushSecond({ order: 'b', paid: -1 }, { timestamp: 20 });
    await h.push({ id: 'b', cents: 9 }, { timestamp: 30 });
    expect(h.outputs()).toEqual(['b paid before']);
    expect(h.sideOutput(stray)).toEqual([{ order: 'b', paid: -1 }]);
    expect(await h.state('open', 'a')).toBe(3);
    expect(await h.state('early', 'b')).toEqual([9]);
    expect(h.timers()).toEqual([{ key: 'a', timeMs: 110, domain: 'event' }]);
    await h.watermark(109);
    expect(h.outputs()).toEqual([]);
    await h.watermark(110);
    expect(h.outputs()).toEqual(['a owes 3 at 110']);
    await h.close();
  });

  test('finds the other input of each key again at another parallelism', async () => {
    const h = await testOperator(settled, { backend, parallelism: 2 });
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const id of ids) await h.push({ id, cents: 5 }, { timestamp: 0 });
    for (const order of ids.slice(0, 3)) await h.pushSecond({ order, paid: 4 });
    const snapshot = h.snapshot();
    for (const order of ids) await h.pushSecond({ order, paid: 100 });
    expect(h.outputs()).toHaveLength(6);
    for (const parallelism of [3, 1, 2]) {
      await h.restore(snapshot, { parallelism });
      for (const order of ids) await h.pushSecond({ order, paid: 1 });
      expect(h.outputs().sort()).toEqual(['a paid', 'b paid', 'c paid']);
      await h.watermark(100);
      expect(h.outputs().sort()).toEqual(['d owes 4 at 100', 'e owes 4 at 100', 'f owes 4 at 100']);
    }
    await h.close();
  });

  test('gives a broadcast record to every subtask, also after a restore', async () => {
    const h = await testOperator(
      (orders: Stream<Order>, limits: Stream<number>) =>
        orders
          .keyBy((order) => order.id)
          .connect(limits.broadcast())
          .process(emits<string>(), {
            broadcastState: { limits: mapState<string, number>() },
            onRecord: (order, { key, broadcastState, emit }) => {
              if (order.cents > (broadcastState.limits.get('most') ?? 0)) emit(key);
            },
            onBroadcast: (most, { broadcastState }) => broadcastState.limits.set('most', most),
          }),
      { backend, parallelism: 3 },
    );
    const ids = Array.from({ length: 12 }, (_, index) => `o${index}`);
    await h.pushSecond(3);
    for (const id of ids) await h.push({ id, cents: 3 });
    expect(h.outputs()).toEqual([]);
    await h.restore(h.snapshot(), { parallelism: 2 });
    for (const id of ids) await h.push({ id, cents: 4 });
    expect(h.outputs().sort()).toEqual([...ids].sort());
    await h.pushSecond(5);
    for (const id of ids) await h.push({ id, cents: 5 });
    expect(h.outputs()).toEqual([]);
    await h.close();
  });

  test('joins by the distance of times, and hands over late records of either input', async () => {
    const h = await testOperator(
      (orders: Stream<Order>, payments: Stream<Payment>) =>
        orders
          .keyBy((order) => order.id)
          .intervalJoin(
            payments.keyBy((payment) => payment.order),
            { lower: milliseconds(0), upper: milliseconds(10) },
            (order, payment) => `${order.cents}/${payment.paid}`,
          ),
      { backend, parallelism: 2 },
    );
    await h.pushSecond({ order: 'a', paid: 1 }, { timestamp: 110 });
    await h.pushSecond({ order: 'a', paid: 2 }, { timestamp: 111 });
    await h.restore(h.snapshot(), { parallelism: 3 });
    await h.push({ id: 'a', cents: 9 }, { timestamp: 100 });
    expect(h.outputs()).toEqual(['9/1']);
    await h.watermark(200);
    await h.push({ id: 'a', cents: 8 }, { timestamp: 101 });
    await h.pushSecond({ order: 'a', paid: 3 }, { timestamp: 102 });
    expect([h.outputs(), h.late(), h.lateSecond()]).toEqual([[], [{ id: 'a', cents: 8 }], [{ order: 'a', paid: 3 }]]);
    await h.close();
  });

  test('joins records of a window, of both inputs', async () => {
    const h = await testOperator(
      (orders: Stream<Order>, payments: Stream<Payment>) =>
        orders
          .keyBy((order) => order.id)
          .windowJoin(
            payments.keyBy((payment) => payment.order),
            tumbling(milliseconds(100)),
            { type: 'left' },
            (order, payment) => `${order.cents}/${payment?.paid ?? 'nothing'}`,
          ),
      { backend },
    );
    await h.push({ id: 'a', cents: 1 }, { timestamp: 10 });
    await h.push({ id: 'b', cents: 4 }, { timestamp: 10 });
    await h.pushSecond({ order: 'a', paid: 2 }, { timestamp: 99 });
    await h.pushSecond({ order: 'a', paid: 3 }, { timestamp: 100 });
    await h.watermark(300);
    expect(h.outputs().sort()).toEqual(['1/2', '4/nothing']);
    await h.pushSecond({ order: 'a', paid: 7 }, { timestamp: 20 });
    expect(h.lateSecond()).toEqual([{ order: 'a', paid: 7 }]);
    await h.close();
  });
});

describe('runJob with two inputs', () => {
  const job = defineJob('two', (env) => {
    const orders = env.from(collection<Order>([]), { uid: 'orders' });
    settled(orders, env.from(collection<Payment>([]), { uid: 'payments' })).collect('settled');
  });

  test('waits for the watermark of both inputs, and takes the smaller one', async () => {
    const order = at(10, { id: 'a', cents: 5 });
    const pay = (time: number) => [at(time, { order: 'a', paid: 5 })];
    // The payments are at 109 when the payment comes: the timer of 110 has not fired, wherever the orders are.
    const inTime = await runJob(job, {
      inputs: { orders: [order, watermark(1000)], payments: [watermark(109), pause(), ...pay(109)] },
    });
    expect(inTime.collected).toEqual({ settled: ['a paid'] });
    const tooLate = await runJob(job, {
      inputs: { orders: [order, watermark(1000)], payments: [watermark(110), pause(), ...pay(111)] },
    });
    expect(tooLate.collected['settled']).toEqual(['a owes 5 at 110', 'a paid']);
  });

  test('goes on in both inputs after a crash', async () => {
    const { collected, restarts } = await runJob(job, {
      inputs: {
        orders: [at(0, { id: 'a', cents: 5 }), at(0, { id: 'b', cents: 5 }), checkpoint()],
        payments: [{ order: 'a', paid: 2 }, checkpoint(), { order: 'a', paid: 3 }, crash(), { order: 'b', paid: 1 }],
      },
      parallelism: 2,
    });
    expect([collected, restarts]).toEqual([{ settled: ['a paid', 'b owes 4 at 100'] }, 1]);
  });
});
