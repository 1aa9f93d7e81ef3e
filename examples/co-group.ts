/**
 * Who looked and did not buy? All clicks and all orders of a user in one hour, side by side; either side may be empty.
 *
 *     npx millrace run examples/co-group.ts
 */
import { defineJob, hours, minutes, params, tumbling } from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

interface Order {
  id: number;
  user: string;
  at: string;
}

export default defineJob('co-group', (env) => {
  const { output } = env.params({
    output: params.string({ default: 'out/co-group', description: 'directory of the results' }),
  });
  const clicks = env
    .from(files.jsonl<Click>('examples/data/clicks.jsonl'), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('click-time')
    .keyBy((click) => click.user);
  const orders = env
    .from(files.jsonl<Order>('examples/data/purchases.jsonl'), { uid: 'orders' })
    .withTimestamps((order) => Date.parse(order.at), { outOfOrderness: minutes(10) })
    .uid('order-time')
    .keyBy((order) => order.user);
  clicks
    .coGroup(orders, tumbling(hours(1)), (seen, bought, { key, window }) => [
      { user: key, hour: new Date(window.start).toISOString(), clicks: seen.length, orders: bought.length },
    ])
    .uid('by-hour')
    .to(files.jsonl(output))
    .uid('results');
});
