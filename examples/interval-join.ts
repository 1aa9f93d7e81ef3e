/**
 * Orders with the payments that came within half an hour: an interval join. Both streams have event times, so the result is
 * the same however fast the two files are read, and nothing is kept longer than a partner may still come.
 *
 *     npx millrace run examples/interval-join.ts -- --within 1h
 */
import { defineJob, minutes, params } from 'millrace';
import { files } from 'millrace/files';

interface Order {
  order: number;
  amount: number;
  at: string;
}

interface Payment {
  order: number;
  paid: number;
  at: string;
}

export default defineJob('interval-join', (env) => {
  const { orders, payments, output, within } = env.params({
    orders: params.string({ default: 'examples/data/shop-orders.jsonl', description: 'JSON lines of orders' }),
    payments: params.string({ default: 'examples/data/shop-payments.jsonl', description: 'JSON lines of payments' }),
    output: params.string({ default: 'out/interval-join', description: 'directory of the results' }),
    within: params.duration({ default: minutes(30), description: 'how long after the order a payment counts' }),
  });

  const paid = env
    .from(files.jsonl<Payment>(payments), { uid: 'payments' })
    .withTimestamps((payment) => Date.parse(payment.at), { outOfOrderness: minutes(60) })
    .uid('payment-times')
    .keyBy((payment) => payment.order);

  env
    .from(files.jsonl<Order>(orders), { uid: 'orders' })
    .withTimestamps((order) => Date.parse(order.at), { outOfOrderness: minutes(60) })
    .uid('order-times')
    .keyBy((order) => order.order)
    .intervalJoin(paid, { lower: 0, upper: within }, (order, payment, { firstTimestamp, secondTimestamp }) => ({
      order: order.order,
      paid: payment.paid,
      afterMinutes: (secondTimestamp - firstTimestamp) / minutes(1),
    }))
    .uid('paid-in-time')
    .to(files.jsonl(output))
    .uid('results');
});
