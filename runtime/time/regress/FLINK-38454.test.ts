import { expect, test } from 'vitest';
import { WatermarkValve } from '../watermark-valve.ts';

/** In Flink the watermark of a subtask whose inputs all became idle depended on the order in which they did. */
test.each([
  [0, 1],
  [1, 0],
])('the merged watermark is the maximum when all inputs become idle, input %i first', (first, second) => {
  const valve = new WatermarkValve(2);
  valve.advance(0, 10);
  valve.advance(1, 20);
  valve.setIdle(first, true);
  valve.setIdle(second, true);
  expect(valve.watermark).toBe(20);
  expect(valve.idle).toBe(true);
});
