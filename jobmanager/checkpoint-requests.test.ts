import { expect, test } from 'vitest';
import { CheckpointRequests } from './checkpoint-requests.ts';

const completed = (checkpointId: number) => ({ kind: 'checkpoint-completed', checkpointId, attempt: 1 }) as never;
const aborted = (checkpointId: number) => ({ kind: 'checkpoint-aborted', checkpointId, reason: 'slow' }) as never;
const running = { kind: 'state-changed', from: 'deploying', to: 'running', attempt: 2 } as never;

/** Requests with what they were answered. */
class Asked {
  readonly requests = new CheckpointRequests('job');
  readonly answers: (number | string)[] = [];

  ask(): void {
    const place = this.answers.push('open') - 1;
    this.requests.wait(
      (checkpointId) => (this.answers[place] = checkpointId),
      (error) => (this.answers[place] = error.message),
    );
  }
}

test('a request is answered by the first checkpoint that was triggered after it', () => {
  const asked = new Asked();
  asked.requests.triggered(4);
  asked.ask();
  asked.requests.noticed(completed(4));
  expect(asked.answers).toEqual(['open']);
  asked.requests.triggered(5);
  asked.ask();
  asked.requests.noticed(completed(5));
  expect(asked.answers).toEqual([5, 'open']);
  asked.requests.noticed(completed(6));
  expect(asked.answers).toEqual([5, 6]);
});

test('a request fails when its checkpoint is given up, and not when an earlier one is', () => {
  const asked = new Asked();
  asked.requests.triggered(1);
  asked.ask();
  asked.requests.noticed(aborted(1));
  expect(asked.answers).toEqual(['open']);
  asked.requests.noticed(aborted(2));
  expect(asked.answers[0]).toMatch(/of job "job": checkpoint 2 was given up: slow/);
});

test('a checkpoint is asked for again when the job runs again and somebody still waits', () => {
  const asked = new Asked();
  expect(asked.requests.noticed(running)).toBe(false);
  asked.ask();
  expect(asked.requests.noticed(running)).toBe(true);
  asked.requests.noticed(completed(1));
  expect(asked.requests.noticed(running)).toBe(false);
});

test('requests fail when the job ends before a checkpoint', async () => {
  const asked = new Asked();
  const promise = asked.requests.add();
  asked.requests.jobEnded();
  await expect(promise).rejects.toMatchObject({ code: 'CHECKPOINT_FAILED' });
  // Nobody waits any more.
  expect(asked.requests.noticed(running)).toBe(false);
});

test('who wants a savepoint, or the one the job stops with, is answered by no other checkpoint', () => {
  const answers: string[] = [];
  const waiting = (wanted: 'savepoint' | 'stop'): CheckpointRequests => {
    const requests = new CheckpointRequests('job', wanted);
    requests.wait(
      (checkpointId) => answers.push(`${wanted} ${checkpointId}`),
      (error) => answers.push(error.message),
    );
    return requests;
  };
  const [savepoint, stop] = [waiting('savepoint'), waiting('stop')];
  const tell = (notice: object): void => {
    for (const requests of [savepoint, stop]) requests.noticed(notice as never);
  };
  tell({ kind: 'checkpoint-completed', checkpointId: 1 });
  tell({ kind: 'checkpoint-aborted', checkpointId: 2, reason: 'slow' });
  expect(answers).toEqual([]);
  tell({ kind: 'checkpoint-completed', checkpointId: 3, savepoint: true });
  tell({ kind: 'checkpoint-completed', checkpointId: 4, savepoint: true, stop: true });
  expect(answers).toEqual(['savepoint 3', 'stop 4']);
});

test('a savepoint is waited for only so long, but not given up once its checkpoint is under way', () => {
  const requests = new CheckpointRequests('job', 'savepoint');
  const answers: string[] = [];
  const ask = () => requests.wait(String, (error) => answers.push(error.message));
  requests.expire(ask(), 'the job is restarting');
  expect(answers).toEqual(['the savepoint asked for of job "job": the job is restarting']);
  const second = ask();
  requests.triggered(1);
  requests.expire(second, 'too late');
  expect(answers).toHaveLength(1);
});
