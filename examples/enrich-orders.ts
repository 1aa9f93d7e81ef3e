/**
 * Orders with the city of their customer, where cities change and customers leave: a regular join of a stream with a table
 * made of upserts. An order whose customer is not known (yet) comes out with null, and is corrected when that changes.
 *
 *     npx millrace run examples/enrich-orders.ts
 */
import { defineJob, params } from 'millrace';
import { files } from 'millrace/files';

interface Order {
  order: number;
  customer: string;
  amount: number;
}

/** The newest line of a customer counts; without a city the customer has left. */
interface Customer {
  customer: string;
  city: string | null;
}

export default defineJob('enrich-orders', (env) => {
  const { orders, customers, output } = env.params({
    orders: params.string({ default: 'examples/data/shop-orders.jsonl', description: 'JSON lines of orders' }),
    customers: params.string({ default: 'examples/data/customers.jsonl', description: 'JSON lines of customers' }),
    output: params.string({ default: 'out/enrich-orders', description: 'directory of the results' }),
  });

  const table = env
    .from(files.jsonl<Customer>(customers), { uid: 'customers' })
    .fromUpserts(
      (line) => line.customer,
      (line) => line.city === null,
    )
    .uid('customer-table');

  env
    .from(files.jsonl<Order>(orders), { uid: 'orders' })
    .keyBy((order) => order.customer)
    .join(
      table.keyBy((line) => line.customer),
      { type: 'left' },
      (order, line) => ({
        order: order.order,
        customer: order.customer,
        amount: order.amount,
        city: line?.city ?? null,
      }),
    )
    .uid('enriched')
    .to(files.jsonl(output, { changes: true }))
    .uid('results');
});
