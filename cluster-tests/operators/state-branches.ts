/** Streams of changes, kinds of state, asynchronous calls and partitioners of the operators job. */
import { setTimeout as elapse } from 'node:timers/promises';
import {
  aggregatingState,
  avg,
  count,
  countDistinct,
  emits,
  filtered,
  listState,
  mapState,
  milliseconds,
  operatorListState,
  reducingState,
  type Stream,
  sum,
  valueState,
} from 'millrace';
import { files } from 'millrace/files';
import type { Item } from './items.ts';

const id = ({ id }: Readonly<Item>): { id: string } => ({ id });

/** What keeps tables up to date. */
export function changeBranches(items: Stream<Item>, output: string): void {
  const byKey = items.keyBy((item) => item.key);
  const totals = byKey
    .aggregate(
      {
        n: count(),
        total: sum((item) => item.amount),
        groups: countDistinct((item) => item.group),
        large: filtered(count(), (item) => item.amount > 50),
      },
      { updating: true },
    )
    .uid('totals');
  totals.to(files.jsonl(`${output}/totals`, { changes: true }));
  totals
    .keyBy(({ key }) => key.split('-')[0])
    .topN(3, { by: ({ total }) => total, ties: ({ key }) => key })
    .uid('best-keys')
    .map(({ rank, record: { key, total } }) => ({ rank, key, total }))
    .to(files.jsonl(`${output}/best-keys`, { changes: true }));
  byKey
    .dedup({ keep: 'first' })
    .uid('first')
    .map(id)
    .to(files.jsonl(`${output}/first`));
  byKey
    .dedup({ keep: 'last', by: 'arrival' })
    .uid('last')
    .map(id)
    .to(files.jsonl(`${output}/last`, { changes: true }));
  items
    .fromUpserts(
      (item) => item.key,
      (item) => item.amount % 3 === 0,
    )
    .uid('upserts')
    .keyBy((item) => item.amount % 7)
    .aggregate({ n: count(), mean: avg((item) => item.amount) }, { updating: true })
    .uid('upserts-by-rest')
    .to(files.jsonl(`${output}/upserts`, { changes: true }));
}

/** State of all kinds, asynchronous calls, and who gets which record. */
export function functionBranches(items: Stream<Item>, output: string): void {
  const byKey = items.keyBy((item) => item.key);
  byKey
    .process(emits<{ id: string; last: string[]; sum: number; mean: number }>(), {
      state: {
        last: listState<string>(),
        sum: reducingState<number>((a, b) => a + b),
        mean: aggregatingState(avg((amount: number) => amount)),
      },
      onRecord({ id, amount }, { state, emit }) {
        state.last.add(id);
        state.sum.add(amount);
        state.mean.add(amount);
        const last = [...state.last];
        if (last.length === 4) state.last.clear();
        emit({ id, last, sum: state.sum.value() ?? -1, mean: Math.round((state.mean.value() ?? -1) * 1_000) });
      },
    })
    .uid('state-kinds')
    .to(files.jsonl(`${output}/state-kinds`));
  expiring(items, output);
  asyncBranches(items, output);
  partitions(items, output);
}

const ttlMs = 4_005;

/** What is within the time to live is there for sure; a timer after it finds it gone for sure. */
function expiring(items: Stream<Item>, output: string): void {
  items
    .filter((item) => !item.late)
    .keyBy((item) => item.key)
    .process(emits<{ id: string; gone: boolean } | { id: string; before: string }>(), {
      state: {
        seen: mapState<string, number>({ ttl: milliseconds(ttlMs), time: 'event' }),
        newest: valueState<{ id: string; time: number }>({ ttl: milliseconds(ttlMs), time: 'event' }),
        known: mapState<number, string>(),
      },
      onRecord({ id, time }, { state, timers, emit }) {
        const before = state.newest.value();
        if (before !== undefined && Math.abs(before.time - time) < ttlMs / 2) emit({ id, before: before.id });
        state.newest.update({ id, time });
        state.seen.set(id, time);
        state.known.set(time, id);
        timers.registerEventTime(time + ttlMs + 1);
      },
      onTimer(timestampMs, { state, emit }) {
        const time = timestampMs - ttlMs - 1;
        const id = state.known.get(time);
        if (id === undefined) return;
        emit({ id, gone: !state.seen.has(id) });
        state.known.delete(time);
      },
    })
    .uid('expiring')
    .to(files.jsonl(`${output}/expiring`));
}

/** Answers after up to 8 ms; every 13th call fails at first. */
async function answer(item: Readonly<Item>, { attempt }: { readonly attempt: number }): Promise<Item> {
  await elapse(item.amount % 9);
  if (attempt === 1 && item.seq % 13 === 0) throw new Error('try again');
  return { ...item };
}

function asyncBranches(items: Stream<Item>, output: string): void {
  const retry = { attempts: 3, delay: milliseconds(1) };
  items
    .asyncMap(answer, { retry, capacity: 200 })
    .uid('ordered')
    .keyBy((item) => item.split)
    .process(emits<{ id: string; place: number }>(), {
      state: { place: valueState<number>() },
      onRecord({ id }, { state, emit }) {
        const place = state.place.value() ?? 0;
        state.place.update(place + 1);
        emit({ id, place });
      },
    })
    .uid('places')
    .to(files.jsonl(`${output}/async-ordered`));
  items
    .asyncMap(answer, { order: 'unordered', retry, capacity: 200 })
    .uid('unordered')
    .map(id)
    .to(files.jsonl(`${output}/async-unordered`));
}

/** How many records the list of a subtask holds at most. */
export const heldMax = 5;

function partitions(items: Stream<Item>, output: string): void {
  items
    .rescale()
    .map((item) => ({ ...item, hops: 1 }))
    .uid('rescaled')
    .slotSharingGroup('other')
    .shuffle()
    .map((item) => ({ ...item, hops: item.hops + 1 }))
    .uid('shuffled')
    .partitionCustom(
      (item) => item.group,
      (group, partitionCount) => group % partitionCount,
    )
    .map(({ id, hops }) => ({ id, hops: hops + 1 }))
    .uid('custom')
    .rebalance()
    .process(emits<{ id: string; hops: number }>(), {
      state: { held: operatorListState<{ id: string; hops: number }>() },
      onRecord(item, { state, emit }) {
        state.held.add({ ...item });
        const held = [...state.held.get()];
        if (held.length < heldMax) return;
        for (const each of held) emit(each);
        state.held.clear();
      },
    })
    .uid('held')
    .to(files.jsonl(`${output}/held`));
}
