import { expect, test } from 'vitest';
import { closeTimeoutMs } from './close-limit.ts';
import { PassOn, singleOperator } from './single-operator.test-support.ts';

test('closing a subtask fails and names the operator when a close never resolves', async () => {
  class NeverCloses extends PassOn {
    override close(): Promise<void> {
      return new Promise(() => {});
    }
  }
  const { subtask, alarms } = singleOperator(new NeverCloses(), () => undefined);
  await subtask.open();
  const closing = subtask.close();
  expect(alarms.map((alarm) => alarm.delayMs)).toEqual([closeTimeoutMs]);
  alarms[0]?.then();
  await expect(closing).rejects.toMatchObject({ code: 'USER_FUNCTION_STUCK', ids: { operator: 'pass-on' } });
  await expect(closing).rejects.toThrow(/close\(\) of operator 'pass-on' has not resolved for 30 s/);
});

test('closing a subtask takes the alarm back when everything is closed, also with an error', async () => {
  class FailsToClose extends PassOn {
    override close(): Promise<void> {
      return Promise.reject(new Error('no'));
    }
  }
  for (const [operator, failure] of [
    [new PassOn(), null],
    [new FailsToClose(), 'no'],
  ] as const) {
    const { subtask, alarms } = singleOperator(operator, () => undefined);
    const closing = subtask.close();
    if (failure === null) await closing;
    else await expect(closing).rejects.toThrow(failure);
    // One more turn for what follows the settled promise.
    await new Promise((resolve) => setImmediate(resolve));
    expect(alarms).toEqual([]);
  }
});
