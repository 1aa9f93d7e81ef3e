import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SlotPool, type SlotPoolOutcome } from './slot-pool.ts';

const offersOf = (outcome: SlotPoolOutcome, jobId: string) =>
  outcome.granted.find((grant) => grant.jobId === jobId)?.offers ?? null;

test('a pool grants all slots of a request together, spread over task managers with the most free ones', () => {
  const pool = new SlotPool(null);
  pool.registered('a', 1, 0);
  pool.registered('b', 3, 0);
  expect(offersOf(pool.requested('job', 3), 'job')).toEqual([
    { taskManagerId: 'a', slotCount: 1 },
    { taskManagerId: 'b', slotCount: 2 },
  ]);
  expect(pool.supply).toEqual({ taskManagers: 2, slots: 4, freeSlots: 1 });
});

test('a request that does not fit waits until a task manager comes, and takes nothing meanwhile', () => {
  const pool = new SlotPool(null);
  pool.registered('a', 2, 0);
  expect(pool.requested('large', 3)).toMatchObject({ granted: [], waiting: ['large'] });
  expect(offersOf(pool.requested('small', 2), 'small')).not.toBeNull();
  expect(pool.registered('b', 2, 0).granted).toEqual([]);
  expect(offersOf(pool.released('small'), 'large')).toEqual([
    { taskManagerId: 'a', slotCount: 2 },
    { taskManagerId: 'b', slotCount: 1 },
  ]);
});

test('a job that asks again gives back what it had and is served before those who wait', () => {
  const pool = new SlotPool(null);
  pool.registered('a', 2, 0);
  pool.requested('first', 2);
  pool.requested('second', 2);
  const again = pool.requested('first', 2);
  expect(offersOf(again, 'first')).not.toBeNull();
  expect(again.waiting).toEqual(['second']);
  expect(offersOf(pool.released('first'), 'second')).not.toBeNull();
});

test('jobs with slots on a lost task manager are told, and its slots are gone', () => {
  const pool = new SlotPool(5_000);
  pool.registered('a', 1, 0);
  pool.registered('b', 1, 0);
  pool.requested('job', 1);
  pool.requested('waiting', 2);
  pool.heard('b', 4_000);
  const outcome = pool.check(5_001);
  expect(outcome.lost).toEqual([{ taskManagerId: 'a', reason: 'it was not heard of for 5000 ms', jobIds: ['job'] }]);
  expect(outcome.waiting).toEqual(['waiting']);
  expect(() => pool.heard('a', 5_002)).toThrowError(expect.objectContaining({ code: 'STALE_EPOCH' }));
  expect(pool.supply).toEqual({ taskManagers: 1, slots: 1, freeSlots: 1 });
});

test('a task manager that registers again is the same one, and its slots stay with their jobs', () => {
  const pool = new SlotPool(null);
  pool.registered('a', 1, 0);
  pool.requested('job', 1);
  expect(pool.registered('a', 1, 10).granted).toEqual([]);
  expect(pool.supply.freeSlots).toBe(0);
});

test('slots that are found in use are free when they are reported as ended', () => {
  const pool = new SlotPool(null);
  pool.registered('a', 2, 0, [{ jobId: 'job', attempt: 3, slots: 2 }]);
  expect(pool.requested('job', 1).waiting).toEqual(['job']);
  expect(pool.slotEnded('a', 'job', 2).granted).toEqual([]);
  expect(offersOf(pool.slotEnded('a', 'job', 3), 'job')).toEqual([{ taskManagerId: 'a', slotCount: 1 }]);
});

test('slots that are found in use are those of the job that adopts the attempt', () => {
  const pool = new SlotPool(null);
  pool.registered('a', 2, 0, [{ jobId: 'job', attempt: 3, slots: 2 }]);
  pool.adopted('job', 3);
  expect(pool.slotEnded('a', 'job', 3).granted).toEqual([]);
  expect(pool.requested('other', 1).waiting).toEqual(['other']);
  expect(pool.lost('a', 'gone').lost[0]?.jobIds).toEqual(['job']);
  pool.registered('a', 2, 0);
  expect(pool.supply.freeSlots).toBe(1);
});

test('no slot is given twice, what is granted is what was asked for, and nobody waits who would fit', () => {
  const job = fc.constantFrom('j0', 'j1', 'j2', 'j3');
  const taskManager = fc.constantFrom('t0', 't1', 't2');
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('register' as const), taskManager, slots: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('lose' as const), taskManager }),
    fc.record({ kind: fc.constant('request' as const), job, count: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constant('release' as const), job }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const pool = new SlotPool(null);
      const slots = new Map<string, number>();
      const held = new Map<string, Map<string, number>>();
      const wanted = new Map<string, number>();
      for (const one of operations) {
        let outcome: SlotPoolOutcome;
        if (one.kind === 'register') {
          if (!slots.has(one.taskManager)) slots.set(one.taskManager, one.slots);
          outcome = pool.registered(one.taskManager, one.slots, 0);
        } else if (one.kind === 'lose') {
          slots.delete(one.taskManager);
          const users = [...held].filter(([, on]) => on.has(one.taskManager)).map(([jobId]) => jobId);
          for (const on of held.values()) on.delete(one.taskManager);
          outcome = pool.lost(one.taskManager, 'gone');
          expect([...(outcome.lost[0]?.jobIds ?? [])].sort()).toEqual(users.sort());
        } else if (one.kind === 'request') {
          held.delete(one.job);
          wanted.set(one.job, one.count);
          outcome = pool.requested(one.job, one.count);
        } else {
          held.delete(one.job);
          wanted.delete(one.job);
          outcome = pool.released(one.job);
        }
        for (const { jobId, offers } of outcome.granted) {
          expect(offers.reduce((sum, offer) => sum + offer.slotCount, 0)).toBe(wanted.get(jobId));
          wanted.delete(jobId);
          held.set(jobId, new Map(offers.map((offer) => [offer.taskManagerId, offer.slotCount])));
        }
        let free = 0;
        for (const [id, count] of slots) {
          let used = 0;
          for (const on of held.values()) used += on.get(id) ?? 0;
          expect(used).toBeLessThanOrEqual(count);
          free += count - used;
        }
        expect(pool.supply.freeSlots).toBe(free);
        for (const count of wanted.values()) expect(count).toBeGreaterThan(free);
      }
    }),
    { numRuns: 500 },
  );
});
