/**
 * Keyed state in one thread: updates of column tables and of live objects, and encoding of frozen rows. The bytes a key
 * costs, all in (index, key group, change marks, dirty list), stand in the name of the case.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { AggregateSet } from '../core/aggregate.ts';
import { RowBlockWriter } from '../runtime/checkpoint/row-block.ts';
import { memoryBackend } from '../runtime/state/backend.ts';
import { AggregateLayout } from '../runtime/state/aggregate-layout.ts';
import { ChangeLedger } from '../runtime/state/change-ledger.ts';
import { ColumnTable } from '../runtime/state/column-table.ts';
import { ObjectTable } from '../runtime/state/object-table.ts';
import type { TableOwner } from '../runtime/state/row-table.ts';
import { benchmarkRow, type BenchmarkRow, cpuSecondsOf } from './row.ts';

interface Bid {
  readonly bidder: number;
  readonly price: number;
}

const select = (bid: Bid): number => bid.price;
const countSumMax = {
  count: { kind: 'count', options: {}, select: null },
  sum: { kind: 'sum', options: {}, select },
  max: { kind: 'max', options: {}, select },
} as unknown as AggregateSet<never>;

const roundUpdates = 1_000_000;

/** @param options.seconds measured time per case, after everything was inserted */
export function runStateBenchmark(options: { readonly seconds: number }): BenchmarkRow[] {
  const { seconds } = options;
  return [
    ...columnCase('columns, count+sum+max, 100 K numeric keys', numericKeys(100_000), seconds),
    ...columnCase('columns, count+sum+max, 2 M numeric keys', numericKeys(2_000_000), seconds),
    ...columnCase('columns, count+sum+max, 100 K string keys', stringKeys(100_000), seconds),
    ...objectCase('value state, user objects, 1 M numeric keys', 1_000_000, seconds),
  ];
}

function newOwner(): TableOwner {
  const ledger = new ChangeLedger('benchmark');
  return {
    operatorId: 'benchmark',
    maxParallelism: 128,
    keyGroups: { first: 0, last: 127 },
    backend: memoryBackend,
    ledger,
  };
}

/** Keys that are neither dense nor in order. */
function numericKeys(count: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.imul(index, 0x9e3779b1) >>> 1);
}

function stringKeys(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `customer-${index}`);
}

function columnCase(name: string, keys: readonly (string | number)[], seconds: number): BenchmarkRow[] {
  const owner = newOwner();
  const asked = shuffled(keys);
  const bid: Bid = { bidder: 0, price: 1.5 };
  const before = usedBytes();
  const table = new ColumnTable(owner, 'accumulators', new AggregateLayout(countSumMax));
  for (const key of keys) table.add(key, bid);
  const bytes = Math.round((usedBytes() - before) / keys.length);
  let next = 0;
  const rows = [
    measure(`${name} (${bytes} B a key)`, seconds, roundUpdates, () => {
      for (let update = 0; update < roundUpdates; update++) {
        table.add(asked[next++] as string | number, bid);
        if (next === asked.length) next = 0;
      }
    }),
  ];
  rows.push(encodeCase(`${name}, encode frozen rows`, owner.ledger, keys.length));
  return rows;
}

function objectCase(name: string, count: number, seconds: number): BenchmarkRow[] {
  const owner = newOwner();
  const keys = numericKeys(count);
  const asked = shuffled(keys);
  const before = usedBytes();
  const table = new ObjectTable(owner, 'profile');
  for (const key of keys)
    table.set(key, { id: key, visits: 1, total: 0.5, lastSeenMs: 1_700_000_000_000.5, open: true });
  const bytes = Math.round((usedBytes() - before) / count);
  let next = 0;
  const rows = [
    measure(`${name}, value + update (${bytes} B a key)`, seconds, roundUpdates, () => {
      for (let update = 0; update < roundUpdates; update++) {
        const key = asked[next++] as number;
        const profile = table.get(key) as { visits: number; total: number };
        profile.visits++;
        profile.total += 0.25;
        table.set(key, profile);
        if (next === asked.length) next = 0;
      }
    }),
  ];
  rows.push(encodeCase(`${name}, encode frozen rows`, owner.ledger, count));
  return rows;
}

function encodeCase(name: string, ledger: ChangeLedger, rows: number): BenchmarkRow {
  let rowsWritten = 0;
  const cpuStart = cpuSecondsOf();
  const start = performance.now();
  const writer = new RowBlockWriter((block) => {
    rowsWritten += block.rowCount;
  });
  ledger.freeze(1)?.encode(writer, Number.POSITIVE_INFINITY);
  writer.flush();
  const elapsed = (performance.now() - start) / 1000;
  return benchmarkRow({
    benchmark: 'state',
    case: name,
    parallelism: 1,
    events: rowsWritten,
    seconds: elapsed,
    cpuSeconds: cpuSecondsOf() - cpuStart,
    checkpoints: 1,
    checked: rowsWritten === rows,
  });
}

function shuffled<T>(keys: readonly T[]): T[] {
  const order = keys.slice();
  let seed = 12_345;
  for (let index = order.length - 1; index > 0; index--) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const other = seed % (index + 1);
    const kept = order[index] as T;
    order[index] = order[other] as T;
    order[other] = kept;
  }
  return order;
}

/** Share of the time spent before the clock starts, for the optimising compiler. */
const warmUpShare = 0.3;

function measure(caseName: string, seconds: number, updatesPerRound: number, round: () => void): BenchmarkRow {
  runFor(seconds * warmUpShare, round);
  const cpuStart = cpuSecondsOf();
  const { rounds, elapsed } = runFor(seconds, round);
  return benchmarkRow({
    benchmark: 'state',
    case: caseName,
    parallelism: 1,
    events: rounds * updatesPerRound,
    seconds: elapsed,
    cpuSeconds: cpuSecondsOf() - cpuStart,
    checkpoints: 0,
    checked: false,
  });
}

function runFor(seconds: number, round: () => void): { rounds: number; elapsed: number } {
  const start = performance.now();
  let rounds = 0;
  let elapsed = 0;
  while (elapsed < seconds) {
    round();
    rounds++;
    elapsed = (performance.now() - start) / 1000;
  }
  return { rounds, elapsed };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Heap and array buffers in use. */
function usedBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
