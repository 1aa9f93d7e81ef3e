import { expect, test } from 'vitest';
import type { JobRecord } from '../store/job-store.ts';
import { type CatalogueEntry, checkJobName, decideSubmission, findJob } from './catalogue.ts';

const entry = (
  jobId: string,
  name: string,
  terminal: CatalogueEntry['terminal'],
  idempotencyKey = jobId,
): CatalogueEntry => ({
  record: { jobId, name, idempotencyKey } as JobRecord,
  terminal,
});

test('a name is accepted again when its jobs are over, and refused while one is not', () => {
  const entries = [entry('a-1', 'a', 'finished'), entry('a-2', 'a', 'failed')];
  expect(decideSubmission(entries, { name: 'a', idempotencyKey: 'new' })).toEqual({ kind: 'accept' });
  expect(() =>
    decideSubmission([...entries, entry('a-3', 'a', null)], { name: 'a', idempotencyKey: 'new' }),
  ).toThrowError(expect.objectContaining({ code: 'JOB_EXISTS', message: expect.stringContaining('a-3') }));
});

test('a submission that comes twice is one job, also when it is over', () => {
  const entries = [entry('a-1', 'a', 'finished', 'key'), entry('a-2', 'a', null, 'other')];
  expect(decideSubmission(entries, { name: 'a', idempotencyKey: 'key' })).toEqual({ kind: 'known', jobId: 'a-1' });
  expect(decideSubmission(entries, { name: 'b', idempotencyKey: 'key' })).toEqual({ kind: 'accept' });
});

test('a job is found by its id, else as the newest of its name', () => {
  const entries = [entry('a-1', 'a', 'finished'), entry('a-2', 'a', 'failed'), entry('b-1', 'b', null)];
  expect(findJob(entries, 'a-1').record.jobId).toBe('a-1');
  expect(findJob(entries, 'a').record.jobId).toBe('a-2');
  expect(() => findJob(entries, 'c')).toThrowError(
    expect.objectContaining({ code: 'JOB_NOT_FOUND', message: expect.stringContaining('there are a, b') }),
  );
  expect(() => findJob([], 'c')).toThrowError(/there are none/);
});

test.each(['', 'a b', '../x', 'ä', 'x'.repeat(65)])('the name %j is refused', (name) => {
  expect(() => checkJobName(name)).toThrowError(expect.objectContaining({ code: 'JOB_INVALID' }));
});
