import { expect, test } from 'vitest';
import { WatermarkValve } from '../watermark-valve.ts';

/** In Flink the watermark of a subtask whose inputs all became idle depended on the order in which they did. */
test.each([
  [0, 1],
  [1, 0],
])('the merged watermark is the maximum when all inputs become idle, input %i first', (first, second) => {
  const valve = new WatermarkValve(2);
  valve.watermark(0, 10);
  valve.watermark(1, 20);
  valve.idle(first, true);
  valve.idle(second, true);
  expect(valve.current).toBe(20);
  expect(valve.isIdle).toBe(true);
});
