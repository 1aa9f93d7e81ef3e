/**
 * Who gets which record: orders are priced in any subtask, then every warehouse's orders are packed in one lane, and large
 * ones are looked at in a single place. Pricing has slots of its own, away from packing.
 *
 *     npx millrace run examples/partitioning.ts
 */
import { defineJob, type FunctionContext, params } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

interface Order {
  id: number;
  warehouse: string;
  pieces: number;
}

interface PricedOrder extends Order {
  price: number;
}

const warehouses = ['Lagos', 'Lima', 'Lille', 'Linz', 'Luanda'];

export default defineJob('partitioning', (env) => {
  const { orders, output } = env.params({
    orders: params.integer({ default: 2_000, description: 'orders to make' }),
    output: params.string({ default: 'out/partitioning', description: 'directory of the results' }),
  });
  env.options({ parallelism: 2 });

  const source = generator<Order>({
    count: orders,
    splits: 2,
    make: (id, random) => ({ id, warehouse: random.pick(warehouses), pieces: 1 + random.int(100) }),
  });

  const priced = env
    .from(source, { uid: 'orders' })
    // Each reader serves its own share of the pricing subtasks.
    .rescale()
    .map((order): PricedOrder => ({ ...order, price: order.pieces * 20 - (order.pieces > 50 ? 100 : 0) }))
    .uid('prices')
    .slotSharingGroup('pricing');

  priced
    .partitionCustom(
      (order) => order.warehouse,
      (warehouse, laneCount) => warehouses.indexOf(warehouse) % laneCount,
    )
    .map(new Packing<PricedOrder>())
    .uid('packing')
    .slotSharingGroup('packing')
    .to(files.jsonl(`${output}/packed`))
    .uid('packed');

  priced
    .filter((order) => order.price > 1_800)
    .uid('large')
    .global()
    .map(new Packing<PricedOrder>())
    .uid('inspection')
    .slotSharingGroup('packing')
    .to(files.jsonl(`${output}/inspected`))
    .uid('inspected');
});

/** Writes the lane on an order: the subtask that it is packed in. */
class Packing<T extends Order> {
  #lane = -1;

  open(context: FunctionContext): void {
    this.#lane = context.subtaskIndex;
  }

  call(order: Readonly<T>): T & { lane: number } {
    return { ...order, lane: this.#lane };
  }
}
