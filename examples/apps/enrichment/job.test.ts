/** The order job under virtual time: calls of the directory take no time, and timeouts pass at once. */
import { assertDeterministic, checkpoint, crash, type JobTestResult, runJob, simulateJob } from 'millrace/testing';
import { expect, test } from 'vitest';
import job, { type Customer, type Order } from './job.ts';

const at = (time: string): string => `2026-03-03T${time}:00Z`;
const order = (id: number, customer: string, cents: number, time: string): Order => ({
  order: id,
  customer,
  cents,
  at: at(time),
});
const customer = (name: string, country: string | null, segment: string, time: string): Customer => ({
  customer: name,
  country,
  segment,
  at: at(time),
});

interface Totals {
  readonly country?: string;
  readonly segment?: string;
  readonly orders: number;
  readonly cents: number;
}

/** The table that changes make, one text a row. */
function tableOf(result: JobTestResult, sink: string): string[] {
  const rows = new Set<string>();
  for (const { value, rowKind } of result.records<Totals>(sink)) {
    const text = `${value.country ?? value.segment} ${value.orders} ${value.cents}`;
    if (rowKind === 0 || rowKind === 2) rows.add(text);
    else expect(rows.delete(text), `taken back: ${text}`).toBe(true);
  }
  return [...rows].sort();
}

const people = [
  customer('ann', 'DE', 'private', '07:00'),
  customer('bob', 'FR', 'trade', '07:00'),
  customer('ann', 'FR', 'trade', '09:00'),
];

test('an order counts for the country its customer had then and for the segment it has now', async () => {
  const orders = [order(1, 'ann', 100, '08:00'), order(2, 'bob', 200, '08:30'), order(3, 'ann', 400, '09:30')];
  const result = await runJob(job, { inputs: { orders, customers: people } });
  expect(tableOf(result, 'countries-out')).toEqual(['DE 1 100', 'FR 2 600']);
  expect(tableOf(result, 'segments-out')).toEqual(['trade 3 700']);
});

test('customers who are not in the table are looked up, with retries, a timeout, and a place for those unknown', async () => {
  const orders = ['gil', 'hal', 'kim', 'lou'].map((name, index) => order(index, name, 100, `08:0${index}`));
  const result = await runJob(job, { inputs: { orders, customers: people } });
  expect(tableOf(result, 'countries-out')).toEqual(['NO 1 100', 'PT 1 100', 'unknown 1 100']);
  expect(tableOf(result, 'segments-out')).toEqual(['none 4 400']);
  expect(result.outputs<Order>('unknown').map((failed) => failed.customer)).toEqual(['lou']);
  expect(result.counters['directory']).toMatchObject({ asyncRetries: 1, asyncTimeouts: 1 });
});

test('an order whose customer left is looked up, and has no segment', async () => {
  const customers = [...people, customer('bob', null, 'trade', '08:10')];
  const result = await runJob(job, { inputs: { orders: [order(1, 'bob', 100, '08:20')], customers } });
  expect(tableOf(result, 'countries-out')).toEqual([]);
  expect(tableOf(result, 'segments-out')).toEqual(['none 1 100']);
});

test('totals are right when the job crashes in the middle and goes on', async () => {
  const orders = [
    order(1, 'ann', 100, '08:00'),
    checkpoint(),
    order(2, 'gil', 200, '08:30'),
    crash(),
    order(3, 'bob', 1, '09:30'),
  ];
  const result = await runJob(job, { inputs: { customers: people, orders }, parallelism: 2 });
  expect(result.restarts).toBe(1);
  expect(tableOf(result, 'countries-out')).toEqual(['DE 1 100', 'FR 1 1', 'PT 1 200']);
});

test('the tables do not depend on the order of reading, crashes and parallelism', async () => {
  const orders = Array.from({ length: 30 }, (_, index) =>
    order(index, ['ann', 'bob', 'gil', 'hal'][index % 4] as string, index, `08:${10 + index}`),
  );
  const customers = [...people, customer('bob', 'IT', 'private', '08:25')];
  // A call that times out is answered otherwise: that depends on the clock, and is meant.
  const faults = { clockJumps: false };
  assertDeterministic(await simulateJob(job, { inputs: { orders, customers }, seeds: 15, faults }));
});
