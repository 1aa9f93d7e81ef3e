/**
 * What did people look at around an order? Orders and clicks of a user in the same hour, and the orders of which there are no
 * clicks. Both streams may be out of order; what comes too late is set aside.
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
  const { input, output, window } = env.params({
    input: params.string({ default: 'examples/data', description: 'directory of the clicks and purchases' }),
    output: params.string({ default: 'out/window-join', description: 'directory of the results' }),
    window: params.duration({ default: hours(1), description: 'orders and clicks of one such span are joined' }),
  });
  // What came from phones was sent when there was a network again. Each file is late or not by itself.
  const inputs = (name: string): readonly string[] => [`${input}/${name}.jsonl`, `${input}/phone-${name}.jsonl`];

  const clicks = env
    .from(files.jsonl<Click>(inputs('clicks')), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('click-time')
    .keyBy((click) => click.user);
  const orders = env
    .from(files.jsonl<Order>(inputs('purchases')), { uid: 'orders' })
    .withTimestamps((order) => Date.parse(order.at), { outOfOrderness: minutes(10) })
    .uid('order-time')
    .keyBy((order) => order.user);

  const joined = orders
    .windowJoin(clicks, tumbling(window), { type: 'left' }, (order, click) => ({
      order: order.id,
      user: order.user,
      page: click?.page ?? null,
    }))
    .uid('join');

  joined.to(files.jsonl(`${output}/joined`)).uid('joined');
  // Records that came when the results of their window had gone out: of the orders, which are first, and of the clicks.
  joined
    .lateFirst()
    .to(files.jsonl(`${output}/late-orders`))
    .uid('late-orders');
  joined
    .lateSecond()
    .to(files.jsonl(`${output}/late-clicks`))
    .uid('late-clicks');
});
