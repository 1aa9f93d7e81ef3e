import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rescaleSources, rescaleTargets } from './rescale-share.ts';

const count = fc.integer({ min: 1, max: 40 });
const upTo = (end: number) => Array.from({ length: end }, (_, index) => index);

test('rescaleTargets gives each subtask the share that Flink gives it when one count divides the other', () => {
  expect(upTo(2).map((source) => rescaleTargets(source, 2, 6))).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
  expect(upTo(6).map((source) => rescaleTargets(source, 6, 2))).toEqual([[0], [0], [0], [1], [1], [1]]);
  expect(upTo(3).map((source) => rescaleTargets(source, 3, 3))).toEqual([[0], [1], [2]]);
});

test('rescaleSources is the inverse of rescaleTargets when both ends compute it for themselves', () => {
  fc.assert(
    fc.property(count, count, (sources, targets) => {
      const sent = upTo(sources).flatMap((source) =>
        rescaleTargets(source, sources, targets).map((to) => [source, to]),
      );
      const read = upTo(targets).flatMap((target) =>
        rescaleSources(target, sources, targets).map((from) => [from, target]),
      );
      const sorted = (pairs: number[][]) => pairs.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
      expect(sorted(read)).toEqual(sorted(sent));
    }),
  );
});

test('rescale shares are contiguous, leave nobody out and differ by at most one when the counts are arbitrary', () => {
  fc.assert(
    fc.property(count, count, (sources, targets) => {
      const shares =
        sources < targets
          ? upTo(sources).map((source) => rescaleTargets(source, sources, targets))
          : upTo(targets).map((target) => rescaleSources(target, sources, targets));
      expect(shares.flat()).toEqual(upTo(Math.max(sources, targets)));
      const sizes = shares.map((share) => share.length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  );
});
