import { expect, test } from 'vitest';
import { BatchBuilder } from '../../core/stream/batch-builder.ts';
import type { StreamElement } from '../../core/stream/batch.ts';
import { PassOn, singleOperator } from './single-operator.test-support.ts';

const soon = (): number => performance.now() + 1_000;

function watermarkElement(watermark: number): StreamElement {
  const builder = new BatchBuilder();
  builder.setWatermark(watermark);
  return { kind: 'batch', batch: builder.take() };
}

/** What an element says about time, in words. */
function timeOf(element: StreamElement): string {
  if (element.kind === 'batch') return `watermark ${element.batch.watermark}`;
  return element.kind === 'idle' ? `idle ${element.idle}` : element.kind;
}

test('a subtask tells that it is idle only after the watermark before when firing for it takes several steps', async () => {
  class SlowToFire extends PassOn {
    turns = 3;
    override advanceWatermark(): boolean {
      return --this.turns <= 0;
    }
  }
  const { subtask, input, takeOutput } = singleOperator(new SlowToFire(), () => undefined);
  await subtask.open();
  input.write(watermarkElement(10));
  input.write({ kind: 'idle', idle: true });
  const told: string[] = [];
  for (let step = 0; step < 6; step++) {
    subtask.step(soon());
    told.push(...takeOutput().map(timeOf));
  }
  expect(told).toEqual(['watermark 10', 'idle true']);
});

test('a subtask tells at once that it is no longer idle when records come again', async () => {
  const { subtask, input, takeOutput } = singleOperator(new PassOn(), () => undefined);
  await subtask.open();
  input.write({ kind: 'idle', idle: true });
  subtask.step(soon());
  input.write({ kind: 'idle', idle: false });
  input.write(watermarkElement(20));
  subtask.step(soon());
  expect(takeOutput().map(timeOf)).toEqual(['idle true', 'idle false', 'watermark 20']);
});
