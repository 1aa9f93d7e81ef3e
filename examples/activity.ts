/**
 * Two archives whose order is known. Orders were written down as they came, so an hour is complete with the first order of a later
 * one. Clicks were put together from several servers in no order at all: no time can be said to be over before the last line
 * is read, and none is late.
 *
 *     npx millrace run examples/activity.ts
 */
import {
  count,
  defineJob,
  emits,
  hours,
  monotonous,
  neverTrigger,
  noWatermarks,
  params,
  sum,
  tumbling,
} from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  at: string;
}

interface Order {
  amount: number;
  at: string;
}

interface Presence {
  user: string;
  from: string;
}

const iso = (timestampMs: number): string => new Date(timestampMs).toISOString();

export default defineJob('activity', (env) => {
  const { clickInput, orderInput, output } = env.params({
    clickInput: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user and at' }),
    orderInput: params.string({
      default: 'examples/data/shop-orders.jsonl',
      description: 'JSON lines with amount and at, in order of time',
    }),
    output: params.string({ default: 'out/activity', description: 'directory of the results' }),
  });

  env
    .from(files.jsonl<Order>(orderInput), { uid: 'orders' })
    .withTimestamps((order) => Date.parse(order.at), { watermarks: monotonous() })
    .uid('order-time')
    .windowAll(tumbling(hours(1)))
    .aggregate({ orders: count(), revenue: sum((order) => order.amount) })
    .uid('revenue')
    .map(({ windowStart, orders, revenue }) => ({ from: iso(windowStart), orders, revenue }))
    .to(files.jsonl(`${output}/revenue`))
    .uid('revenue-out');

  env
    .from(files.jsonl<Click>(clickInput), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { watermarks: noWatermarks() })
    .uid('click-time')
    .keyBy((click) => click.user)
    .window(tumbling(hours(1)))
    // That there was a window is all that is wanted of it: who was there in which hour. It says so when it goes.
    .trigger(neverTrigger())
    .aggregate({ clicks: count() }, emits<Presence>(), {
      onWindow: () => undefined,
      onClear: ({ key, window, emit }) => emit({ user: key, from: iso(window.start) }),
    })
    .uid('presence')
    .to(files.jsonl(`${output}/presence`))
    .uid('presence-out');
});
