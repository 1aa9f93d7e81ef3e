/**
 * What did people look at around an order? Orders and clicks of a user in the same hour, and the orders of which there are no
 * clicks. Both streams may be out of order.
 *
 *     npx millrace run examples/window-join.ts
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

export default defineJob('window-join', (env) => {
  const { clickInput, orderInput, output, window } = env.params({
    clickInput: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user, page, at' }),
    orderInput: params.string({
      default: 'examples/data/purchases.jsonl',
      description: 'JSON lines with id, user, at',
    }),
    output: params.string({ default: 'out/window-join', description: 'directory of the results' }),
    window: params.duration({ default: hours(1), description: 'orders and clicks of one such span are joined' }),
  });

  const clicks = env
    .from(files.jsonl<Click>(clickInput), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('click-time')
    .keyBy((click) => click.user);
  const orders = env
    .from(files.jsonl<Order>(orderInput), { uid: 'orders' })
    .withTimestamps((order) => Date.parse(order.at), { outOfOrderness: minutes(10) })
    .uid('order-time')
    .keyBy((order) => order.user);

  orders
    .windowJoin(clicks, tumbling(window), { type: 'left' }, (order, click) => ({
      order: order.id,
      user: order.user,
      page: click?.page ?? null,
    }))
    .uid('join')
    .to(files.jsonl(output))
    .uid('results');
});
