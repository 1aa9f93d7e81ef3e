import { afterEach, expect, test } from 'vitest';
import type { LogLine } from '../../proto/client-messages.ts';
import { httpWorld, type HttpWorld } from '../http/http-world.test-support.ts';

let world: HttpWorld | null = null;
afterEach(async () => {
  await world?.stop();
  world = null;
});

const query = { job: null, taskManagerId: null, lines: 10, follow: false };
const never = new AbortController().signal;
const report = (text: string, more: { taskManagerId?: string; leaderEpoch?: number; firstNumber?: number } = {}) => {
  const lines = [{ timeMs: 1, level: 'info' as const, jobId: 'numbers-1', text }];
  return { taskManagerId: 'tm-1', leaderEpoch: 7, firstNumber: 1, ...more, lines };
};

async function texts(lines: AsyncIterable<LogLine>): Promise<string[]> {
  const found: string[] = [];
  for await (const { taskManagerId, text } of lines) found.push(`${taskManagerId}: ${text}`);
  return found;
}

test('lines of registered task managers are taken once, others are refused', async () => {
  world = await httpWorld();
  const { clients, term } = world;
  const { gateway } = term.jobManager;
  await gateway.reportLogs(report('a'));
  await gateway.reportLogs(report('a'));
  const stale = expect.objectContaining({ code: 'STALE_EPOCH', retry: 'backoff' });
  await expect(gateway.reportLogs(report('b', { leaderEpoch: 6 }))).rejects.toEqual(stale);
  await expect(gateway.reportLogs(report('b', { taskManagerId: 'stranger' }))).rejects.toEqual(stale);
  expect(await texts(clients.tailLogs(query, never))).toEqual(['tm-1: a']);
});

test('lines of a job are those that say so, and of no job that is unknown', async () => {
  world = await httpWorld();
  const { clients, logs } = world;
  const jobId = await world.submit('numbers');
  logs.add({ timeMs: 1, level: 'warn', taskManagerId: null, jobId, text: 'about it' });
  logs.add({ timeMs: 1, level: 'warn', taskManagerId: null, jobId: null, text: 'about another one' });
  expect(await texts(clients.tailLogs({ ...query, job: 'numbers' }, never))).toEqual(['null: about it']);
  await expect(texts(clients.tailLogs({ ...query, job: 'none' }, never))).rejects.toMatchObject({
    code: 'JOB_NOT_FOUND',
  });
});

test('who follows is cut off with NOT_LEADER when the leader leads no more, and ends without an error when it leaves', async () => {
  world = await httpWorld();
  const { clients, term, logs } = world;
  const leave = new AbortController();
  const left = texts(clients.tailLogs({ ...query, follow: true }, leave.signal));
  const cut = texts(clients.tailLogs({ ...query, follow: true }, never));
  leave.abort();
  expect(await left).toEqual([]);
  logs.add({ timeMs: 1, level: 'info', taskManagerId: null, jobId: null, text: 'last' });
  term.end();
  await expect(cut).rejects.toMatchObject({ code: 'NOT_LEADER', retry: 'backoff' });
  expect(logs.followerCount).toBe(0);
});

test('a job that runs is not forgotten, one that is over is, and then its name is unknown', async () => {
  world = await httpWorld();
  const { clients } = world;
  const completed = world.next('checkpoint-completed');
  const job = await world.submit('numbers');
  await completed;
  await expect(clients.forgetJob({ job })).rejects.toMatchObject({ code: 'USAGE' });
  await clients.stopJob({ job, savepoint: false, drain: false });
  await expect.poll(async () => (await clients.getJob({ job })).state).toBe('stopped');
  const again = [clients.forgetJob({ job }), clients.forgetJob({ job })];
  expect(await Promise.all(again)).toEqual([{}, {}]);
  expect(await clients.listJobs()).toEqual({ jobs: [] });
  expect(world.term.jobManager.job(job)).toBeNull();
  await expect(clients.getJob({ job: 'numbers' })).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
});
