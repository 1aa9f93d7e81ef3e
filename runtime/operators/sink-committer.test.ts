/** When the committer of a sink commits, and when it removes what earlier attempts left. */
import { expect, test } from 'vitest';
import type { Committable, Sink } from '../../core/connector/index.ts';
import { OperatorHarness } from '../../testing/operator-harness.ts';
import { SinkCommitterOperator } from './sink-committer.ts';

/** A sink that notes what its committer is told to do. */
function recordingSink(told: string[]): Sink<never> {
  return {
    type: 'sink',
    kind: 'recording',
    options: {},
    destination: null,
    occupation: () => Promise.resolve(null),
    createWriter: () => {
      throw new Error('no writer is made here');
    },
    createCommitter: () => ({
      open: () => Promise.resolve(),
      commit: (committables: readonly Committable[]) => {
        told.push(`commit ${committables.map(({ data }) => String(data)).join(' ')}`);
        return Promise.resolve();
      },
      removeLeftovers: () => {
        told.push('remove leftovers');
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    }),
  };
}

const committable = (checkpointId: number, data: string): Committable => ({ subtaskIndex: 0, checkpointId, data });

async function openCommitter(told: string[]): Promise<OperatorHarness<'sink-committer'>> {
  return await OperatorHarness.open({
    create: (context) => new SinkCommitterOperator(context),
    functions: { kind: 'sink-committer', sink: recordingSink(told) },
  });
}

/** One complete checkpoint, and all that is done because of it. */
async function complete(harness: OperatorHarness<'sink-committer'>, checkpointId: number): Promise<void> {
  harness.checkpoint(checkpointId);
  const { operator } = harness;
  operator.checkpointCompleted(checkpointId);
  while (operator.settled === false) await new Promise((resolve) => setImmediate(resolve));
  harness.throwFailure();
}

test('what earlier attempts left is removed once, after the first checkpoint is committed, while input comes', async () => {
  const told: string[] = [];
  const harness = await openCommitter(told);
  await harness.process({ value: committable(1, 'one') });
  await complete(harness, 1);
  await harness.process({ value: committable(2, 'two') });
  await complete(harness, 2);
  expect(told).toEqual(['commit one', 'remove leftovers', 'commit two']);
});

test('what earlier attempts left is removed again after the last commit, before the subtask may finish', async () => {
  const told: string[] = [];
  const harness = await openCommitter(told);
  await harness.process({ value: committable(1, 'one') });
  await complete(harness, 1);
  await harness.process({ value: committable(2, 'last') });
  await harness.operator.endInput?.();
  await complete(harness, 2);
  expect(told).toEqual(['commit one', 'remove leftovers', 'commit last', 'remove leftovers']);
});
