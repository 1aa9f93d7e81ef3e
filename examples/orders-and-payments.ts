/**
 * Orders and their payments, from two streams that know nothing of each other: an order is paid in full within a time, or
 * it is reported with what is missing; money without an open order is reported too. A keyed function of two inputs with
 * timers: it decides when event time has passed, so results do not depend on which stream is read faster.
 *
 *     npx millrace run examples/orders-and-payments.ts -- --within 15m
 */
import { defineJob, emits, listState, minutes, params, valueState } from 'millrace';
import { files } from 'millrace/files';

interface Order {
  order: string;
  cents: number;
  at: string;
}

interface Payment {
  payment: string;
  order: string;
  cents: number;
  at: string;
}

type Result =
  | { order: string; result: 'paid'; payments: number }
  | { order: string; result: 'unpaid'; missing: number }
  | { order: string; result: 'stray'; payment: string };

const timeOf = ({ at }: { at: string }): number => Date.parse(at);

export default defineJob('orders-and-payments', (env) => {
  const { orders, payments, output, within } = env.params({
    orders: params.string({
      default: 'examples/data/orders.jsonl',
      description: 'JSON lines with order, cents and at',
    }),
    payments: params.string({
      default: 'examples/data/payments.jsonl',
      description: 'JSON lines with payment, order, cents and at',
    }),
    output: params.string({ default: 'out/orders-and-payments', description: 'directory of the results' }),
    within: params.duration({ default: minutes(30), description: 'time in which an order has to be paid' }),
  });
  const lateness = { outOfOrderness: minutes(5) };
  const ordered = env.from(files.jsonl<Order>(orders), { uid: 'orders' }).withTimestamps(timeOf, lateness);
  const paid = env.from(files.jsonl<Payment>(payments), { uid: 'payments' }).withTimestamps(timeOf, lateness);

  ordered
    .uid('order-times')
    .connect(paid.uid('payment-times'))
    .keyBy(
      (order) => order.order,
      (payment) => payment.order,
    )
    .process(emits<Result>(), {
      state: { order: valueState<Order>(), payments: listState<Payment>() },
      onFirst(order, { state, timers }) {
        state.order.update(order);
        timers.registerEventTime(timeOf(order) + within);
      },
      onSecond(payment, { state, timers }) {
        state.payments.add(payment);
        // By then its order has come and gone, or it never comes.
        timers.registerEventTime(timeOf(payment) + within);
      },
      onTimer(timestampMs, { key, state, emit }) {
        const order = state.order.value();
        const known = [...state.payments];
        if (order !== undefined && timeOf(order) + within === timestampMs) {
          const inTime = known.filter((payment) => timeOf(payment) <= timestampMs);
          const missing = order.cents - inTime.reduce((sum, payment) => sum + payment.cents, 0);
          if (missing > 0) emit({ order: key, result: 'unpaid', missing });
          else emit({ order: key, result: 'paid', payments: inTime.length });
          state.order.clear();
          state.payments.update(known.filter((payment) => timeOf(payment) > timestampMs));
        } else if (order === undefined) {
          const strays = known.filter((payment) => timeOf(payment) + within <= timestampMs);
          for (const { payment } of strays) emit({ order: key, result: 'stray', payment });
          state.payments.update(known.filter((payment) => timeOf(payment) + within > timestampMs));
        }
      },
    })
    .uid('matched')
    .to(files.jsonl(output))
    .uid('results');
});
