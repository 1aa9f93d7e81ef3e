/** The fraud job under virtual time: what is found, what rules change, what a crash must not change. */
import { assertDeterministic, checkpoint, crash, runJob, simulateJob } from 'millrace/testing';
import { expect, test } from 'vitest';
import job, { type Alert, type Rule, type Transaction } from './job.ts';

const at = (time: string): string => `2026-03-02T09:${time}Z`;
const rule = (from: string, smallCents: number, largeCents: number): Rule => ({
  from: at(from),
  smallCents,
  largeCents,
  withinSeconds: 60,
});
const pay = (id: string, card: string, cents: number, time: string): Transaction => ({ id, card, cents, at: at(time) });
const usual = [rule('00:00', 200, 50_000)];

async function alertsOf(transactions: readonly Transaction[], rules = usual): Promise<string[]> {
  const result = await runJob(job, { inputs: { rules, transactions } });
  return result.outputs<Alert>('alerts').map(({ card, small, large }) => `${card} ${small} ${large}`);
}

test('the fraud job alerts when a large charge follows a small one of the same card within a minute', async () => {
  const pairs = [
    pay('a', 'one', 150, '01:00'),
    pay('b', 'two', 60_000, '01:10'),
    pay('c', 'one', 60_000, '02:00'),
    pay('d', 'two', 150, '02:00'),
    pay('e', 'two', 60_000, '03:01'),
  ];
  expect(await alertsOf(pairs)).toEqual(['one a c']);
});

test('the fraud job finds the same when transactions come out of order', async () => {
  expect(await alertsOf([pay('b', 'one', 60_000, '01:20'), pay('a', 'one', 150, '01:00')])).toEqual(['one a b']);
});

test('the fraud job judges each transaction by the rule of its time', async () => {
  const rules = [...usual, rule('10:00', 200, 90_000)];
  const transactions = [
    pay('a', 'one', 150, '09:30'),
    pay('b', 'one', 60_000, '09:59'),
    pay('c', 'one', 60_000, '10:00'),
    pay('d', 'one', 95_000, '10:01'),
  ];
  expect(await alertsOf(transactions, rules)).toEqual(['one a b', 'one a d']);
});

test('the fraud job sets large charges aside that come late, and drops small ones', async () => {
  const transactions = [
    pay('a', 'one', 500, '05:00'),
    pay('b', 'two', 60_000, '04:29'),
    pay('c', 'two', 500, '04:29'),
    pay('d', 'two', 60_000, '04:31'),
  ];
  const result = await runJob(job, { inputs: { rules: usual, transactions } });
  expect(result.outputs<Transaction>('suspicious').map(({ id }) => id)).toEqual(['b']);
});

test('the fraud job alerts once when it crashes between the two charges and after them', async () => {
  const [small, large] = [pay('a', 'one', 150, '01:00'), pay('b', 'one', 60_000, '01:30')];
  const transactions = [small, checkpoint(), large, crash(), pay('c', 'two', 500, '09:00'), checkpoint(), crash()];
  const result = await runJob(job, { inputs: { rules: usual, transactions }, parallelism: 2 });
  expect(result.restarts).toBe(2);
  expect(result.outputs<Alert>('alerts').map(({ large: id }) => id)).toEqual(['b']);
});

test('the fraud job alerts the same whatever the order of reading, crashes and parallelism', async () => {
  const rules = [...usual, rule('10:00', 100, 40_000)];
  const transactions = Array.from({ length: 60 }, (_, index) => {
    const time = `${String(Math.floor(index / 3)).padStart(2, '0')}:${String((index * 17) % 60).padStart(2, '0')}`;
    return pay(`t${index}`, `card-${index % 4}`, index % 3 === 0 ? 90 : 30_000 + index * 500, time);
  });
  assertDeterministic(await simulateJob(job, { inputs: { rules, transactions }, seeds: 15 }));
});
