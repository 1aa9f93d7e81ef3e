/**
 * Orders become parcels: a service says what an order consists of (any number of parts), a packer fills boxes of three parts,
 * and what it has begun is in its state. Boxes go to a directory for each belt.
 *
 *     npx millrace run examples/parcels.ts
 */
import { defineJob, emits, operatorListState, params, seconds } from 'millrace';
import { files } from 'millrace/files';

interface Order {
  order: number;
  customer: string;
  product: string;
}

interface Part {
  order: number;
  part: string;
}

interface Box {
  belt: string;
  parts: readonly Part[];
}

const boxSize = 3;

export default defineJob('parcels', (env) => {
  const { input, output } = env.params({
    input: params.string({
      default: 'examples/data/shop-orders.jsonl',
      description: 'JSON lines with order and product',
    }),
    output: params.string({ default: 'out/parcels', description: 'directory of the results' }),
  });

  env
    .from(files.jsonl<Order>(input), { uid: 'orders' })
    .asyncFlatMap(partsOf, { order: 'ordered', capacity: 10, timeout: seconds(5) })
    .uid('parts')
    // The box that is being filled belongs to the subtask and not to a key; it is in every checkpoint.
    .process(emits<Box>(), {
      state: { box: operatorListState<Part>() },
      onRecord(part, { state, emit }) {
        state.box.add(part);
        if (state.box.size < boxSize) return;
        const parts = [...state.box.get()];
        emit({ belt: `belt-${(parts[0] as Part).order % 2}`, parts });
        state.box.clear();
      },
    })
    .uid('packing')
    .parallelism(1)
    .to(files.jsonl<Box>(output, { partitionBy: ({ belt }) => belt }))
    .uid('boxes');
});

/** Stands for a service that takes a moment to answer. A product that it does not know has no parts. */
async function partsOf({ order, product }: Readonly<Order>): Promise<readonly Part[]> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  const parts: Readonly<Record<string, readonly string[]>> = {
    lamp: ['foot', 'shade'],
    desk: ['top', 'legs', 'drawer'],
    chair: ['seat', 'legs'],
  };
  return (parts[product] ?? []).map((part) => ({ order, part }));
}
