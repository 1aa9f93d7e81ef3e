/**
 * Orders, enriched by a table of customers that changes. Two questions, two joins:
 *
 * - **Totals per country** want the country a customer had when ordering. `connect` keeps the history of each customer and lets
 *   an order wait until the watermark says that the table is complete up to its time. Who is not in the table is looked
 *   up in a service, with retries and a timeout.
 * - **Totals per segment** want the segment customers have now. `join` takes an order back and puts it elsewhere when its
 *   customer changes, so the totals move with the customers.
 *
 *     npx millrace run examples/apps/enrichment/job.ts
 */
import {
  count,
  defineJob,
  emits,
  type FailedRecord,
  mapState,
  milliseconds,
  minutes,
  outputTag,
  params,
  sideOutput,
  sum,
} from 'millrace';
import { files } from 'millrace/files';
import { countryOf } from './directory.ts';

export interface Order {
  readonly order: number;
  readonly customer: string;
  readonly cents: number;
  readonly at: string;
}

/** What a customer is from `at` on; a customer without country has left. */
export interface Customer {
  readonly customer: string;
  readonly country: string | null;
  readonly segment: string;
  readonly at: string;
}

type Placed = Order & { readonly country: string };

const missing = outputTag<Order>('missing');
const unknown = outputTag<FailedRecord<Order>>('unknown');

export default defineJob('enrichment', (env) => {
  const { orders, customers, output } = env.params({
    orders: params.string({
      default: 'examples/apps/enrichment/data/orders.jsonl',
      description: 'JSON lines of orders',
    }),
    customers: params.string({
      default: 'examples/apps/enrichment/data/customers.jsonl',
      description: 'JSON lines of changes of customers, in order of time',
    }),
    output: params.string({ default: 'out/enrichment', description: 'directory of the results' }),
  });
  const orderStream = env
    .from(files.jsonl<Order>(orders), { uid: 'orders' })
    .withTimestamps((order) => Date.parse(order.at), { outOfOrderness: minutes(5) })
    .uid('order-times');
  // One subtask: changes of a customer stay in order.
  const customerStream = env
    .from(files.jsonl<Customer>(customers), { uid: 'customers', parallelism: 1 })
    .withTimestamps((customer) => Date.parse(customer.at), { outOfOrderness: minutes(5) })
    .uid('customer-times');

  const placed = orderStream
    .connect(customerStream)
    .keyBy(
      (order) => order.customer,
      (customer) => customer.customer,
    )
    .process(emits<Placed>(), {
      state: { waiting: mapState<readonly [number, number], Order>(), countries: mapState<number, string | null>() },
      onFirst(order, { state, timers, timestamp }) {
        state.waiting.set([timestamp, order.order], order);
        timers.registerEventTime(timestamp);
      },
      onSecond({ country }, { state, timestamp }) {
        state.countries.set(timestamp, country);
      },
      onTimer(timestampMs, { state, emit, output }) {
        for (const [place, order] of state.waiting.entries()) {
          const [at] = place;
          if (at > timestampMs) return;
          state.waiting.delete(place);
          const country = [...state.countries.entries()].filter(([from]) => from <= at).at(-1)?.[1] ?? null;
          if (country === null) output(missing, order);
          else emit({ ...order, country });
        }
      },
    })
    .uid('country-then');

  const lookedUp = placed
    .sideOutput(missing)
    .asyncMap(
      async (order, context): Promise<Placed> => ({ ...order, country: await countryOf(order.customer, context) }),
      {
        order: 'unordered',
        timeout: milliseconds(500),
        onTimeout: (order) => ({ ...order, country: 'unknown' }),
        retry: {
          attempts: 3,
          delay: milliseconds(20),
          backoff: 2,
          if: (error) => error instanceof Error && error.message.startsWith('503'),
        },
      },
    )
    .uid('directory')
    .onError(sideOutput(unknown));
  lookedUp
    .sideOutput(unknown)
    .map(({ record, message }) => ({ ...record, message }))
    .to(files.jsonl(`${output}/unknown`))
    .uid('unknown');

  placed
    .union(lookedUp)
    .keyBy((order) => order.country)
    .aggregate({ orders: count(), cents: sum((order) => order.cents) }, { updating: true })
    .uid('countries')
    .map(({ key, ...totals }) => ({ country: key, ...totals }))
    .to(files.jsonl(`${output}/countries`, { changes: true }))
    .uid('countries-out');

  const table = customerStream
    .fromUpserts(
      (customer) => customer.customer,
      (customer) => customer.country === null,
    )
    .uid('customer-table');
  orderStream
    .keyBy((order) => order.customer)
    .join(
      table.keyBy((customer) => customer.customer),
      { type: 'left' },
      (order, customer) => ({ cents: order.cents, segment: customer?.segment ?? 'none' }),
    )
    .uid('segment-now')
    .keyBy((order) => order.segment)
    .aggregate({ orders: count(), cents: sum((order) => order.cents) }, { updating: true })
    .uid('segments')
    .map(({ key, ...totals }) => ({ segment: key, ...totals }))
    .to(files.jsonl(`${output}/segments`, { changes: true }))
    .uid('segments-out');
});
