/**
 * The products that earn most, kept up to date with every order: an updating aggregate under an updating top-n. The output is
 * the list of changes; whoever applies them has the current table.
 *
 *     npx millrace run examples/top-products.ts -- --places 2
 */
import { count, countDistinct, defineJob, filtered, params, sum } from 'millrace';
import { files } from 'millrace/files';

interface Order {
  order: number;
  customer: string;
  product: string;
  amount: number;
}

export default defineJob('top-products', (env) => {
  const { input, output, places } = env.params({
    input: params.string({ default: 'examples/data/shop-orders.jsonl', description: 'JSON lines of orders' }),
    output: params.string({ default: 'out/top-products', description: 'directory of the results' }),
    places: params.integer({ default: 3, description: 'products in the table' }),
  });

  env
    .from(files.jsonl<Order>(input), { uid: 'orders' })
    .keyBy((order) => order.product)
    .aggregate(
      {
        revenue: sum((order) => order.amount),
        customers: countDistinct((order) => order.customer),
        large: filtered(count(), (order) => order.amount >= 100),
      },
      { updating: true },
    )
    .uid('per-product')
    .keyBy(() => 'all')
    .topN(places, { by: (product) => product.revenue, ties: (product) => product.key })
    .uid('top')
    .parallelism(1)
    .map(({ rank, record: { key, ...figures } }) => ({ rank, product: key, ...figures }))
    .parallelism(1)
    .to(files.jsonl(output, { changes: true }))
    .uid('results')
    .parallelism(1);
});
