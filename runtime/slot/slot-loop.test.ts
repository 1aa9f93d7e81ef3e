import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BatchBuilder } from '../../core/stream/batch-builder.ts';
import { PassOn, singleOperator } from '../subtask/single-operator.test-support.ts';
import { SlotLoop } from './slot-loop.ts';
import { SnapshotEncoder } from './snapshot-encoder.ts';

test('the slot loop runs no subtask before it is started when records of other slots come early', async () => {
  const sink = { hasCredit: true, sendBlock: () => undefined, slotDone: () => undefined };
  const encoder = new SnapshotEncoder(sink, (_, error) => {
    throw error;
  });
  const loop = new SlotLoop(encoder, new Int32Array(2), () => 0);
  const operator = new PassOn();
  const { subtask, input } = singleOperator(operator, () => loop.wake(0));
  loop.add(subtask);
  const builder = new BatchBuilder();
  builder.add('early', 0, Number.NaN, 0);
  input.write({ kind: 'batch', batch: builder.take() });
  await turnOfLoop();
  await turnOfLoop();
  expect(operator.seen).toEqual([]);
  await subtask.open();
  loop.start();
  await turnOfLoop();
  await turnOfLoop();
  expect(operator.seen).toEqual(['early']);
  loop.stop();
});
