/** User code that changes what it was given or has emitted is told so, by name, with its first records. */
import { describe, expect, it } from 'vitest';
import { count, defineJob, emits, type JobEnvironment, planJob, sum, valueState } from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { checkedRecordsMax } from './immutability-check.ts';

interface Item {
  readonly name: string;
  readonly amount: number;
}

const itemsOf = (length: number): Item[] =>
  Array.from({ length }, (_, index) => ({ name: `item-${index % 3}`, amount: index }));

async function run(define: (env: JobEnvironment) => void): Promise<Map<string, unknown[]>> {
  const delivered = new Deliveries();
  const harness = new SlotHarness({ job: planJob(defineJob('changes', define), {}), onDelivery: delivered.take });
  await (await harness.start()).finish();
  return delivered.channels;
}

const change = (item: Readonly<Item>): Item => {
  (item as { amount: number }).amount += 1;
  return item as Item;
};

const refused = (operator: string, words: RegExp) => ({
  code: 'USER_FUNCTION_FAILED',
  ids: { operator },
  message: expect.stringMatching(words),
});

describe('a slot that checks immutability', () => {
  it('fails naming the operator when a chained function changes the record it was given', async () => {
    const job = run((env) => {
      const items = env.from(collection(itemsOf(10)), { uid: 'items' }).map((item) => ({ ...item }));
      items.filter((item) => item.amount > 4).collect('large');
      items.map(change).uid('changer').collect('changed');
    });
    await expect(job).rejects.toMatchObject(refused('changer', /changed the record it was given/));
  });

  it('fails naming the operator when a function behind an exchange changes the record it was given', async () => {
    const job = run((env) => {
      const items = env.from(collection(itemsOf(10)), { uid: 'items' }).map((item) => ({ ...item }));
      items.rebalance().map(change).uid('changer').collect('changed');
      items
        .rebalance()
        .map((item) => item.amount)
        .collect('amounts');
    });
    await expect(job).rejects.toMatchObject(refused('changer', /changed the record it was given/));
  });

  it('fails naming the operator when a function of two inputs changes a record of the second', async () => {
    const job = run((env) => {
      const items = env.from(collection(itemsOf(10)), { uid: 'items' });
      const others = env.from(collection(itemsOf(10)), { uid: 'others' });
      items
        .keyBy((item) => item.name)
        .connect(others.keyBy((item) => item.name))
        .map((item) => item, change)
        .uid('changer')
        .collect('changed');
    });
    await expect(job).rejects.toMatchObject(refused('changer', /changed the record it was given/));
  });

  it('fails naming the operator when a join changes the second of its records', async () => {
    const job = run((env) => {
      const items = env.from(collection(itemsOf(10)), { uid: 'items' });
      const others = env.from(collection(itemsOf(10)), { uid: 'others' });
      items
        .keyBy((item) => item.name)
        .join(
          others.keyBy((item) => item.name),
          { type: 'inner' },
          (_, other) => change(other).amount,
        )
        .uid('joined')
        .collect('joined');
    });
    await expect(job).rejects.toMatchObject(refused('joined', /changed/));
  });

  it('fails naming the operator when a selector of an aggregate changes the record', async () => {
    const job = run((env) => {
      env
        .from(collection(itemsOf(10)), { uid: 'items' })
        .keyBy((item) => item.name)
        .aggregate({ total: sum((item) => change(item).amount) })
        .uid('totals')
        .collect('totals');
    });
    await expect(job).rejects.toMatchObject(refused('totals', /changed the record/));
  });

  it('fails naming the operator when one object is emitted again and again with other contents', async () => {
    const one = { name: '', amount: 0 };
    const job = run((env) => {
      env
        .from(collection(itemsOf(10)), { uid: 'items' })
        .map((item) => Object.assign(one, item))
        .uid('reuser')
        .keyBy((item) => item.name)
        .aggregate({ items: count() })
        .collect('counts');
    });
    await expect(job).rejects.toMatchObject(refused('reuser', /changed it afterwards/));
  });

  it('fails naming the operator when an object emitted lives on in state and is changed there', async () => {
    const job = run((env) => {
      env
        .from(collection(itemsOf(10)), { uid: 'items' })
        .keyBy((item) => item.name)
        .process(emits<{ seen: number }>(), {
          state: { sum: valueState<{ seen: number }>() },
          onRecord: (_, context) => {
            const kept = context.state.sum.value() ?? { seen: 0 };
            kept.seen++;
            context.state.sum.update(kept);
            context.emit(kept);
          },
        })
        .uid('keeper')
        .rebalance()
        .map((item) => item.seen)
        .collect('seen');
    });
    await expect(job).rejects.toMatchObject(refused('keeper', /changed it afterwards/));
  });

  it('lets pass new objects, and looks at the first records only', async () => {
    const length = checkedRecordsMax * 3;
    let changes = 0;
    const results = await run((env) => {
      env
        .from(collection(itemsOf(length)), { uid: 'items' })
        .map((item) => ({ ...item }))
        .map((item) => (item.amount < checkedRecordsMax ? item : (changes++, change(item))))
        .map((item) => ({ ...item, more: new Map([[1, new Date(0)]]), unencodable: undefined }))
        .collect('items');
    });
    expect(results.get('items')).toHaveLength(length);
    expect(changes).toBe(length - checkedRecordsMax);
  });
});
