import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { missingSlotsError, placeSlices, slicesOf } from './slot-assignment.ts';

const graph = (parallelisms: readonly number[]): JobGraph => {
  const vertices = parallelisms.map((parallelism, index) => ({
    id: `v${index}`,
    name: `v${index}`,
    operators: [],
    parallelism,
  }));
  return { formatVersion: 1, name: 'job', parameters: {}, options: {} as JobGraph['options'], vertices, edges: [] };
};

test('slices put subtask i of every vertex into slot i and leave out finished vertices', () => {
  expect(
    slicesOf(graph([1, 3, 2]), new Set(['v0'])).map((slice) =>
      slice.subtasks.map((one) => `${one.vertexId}/${one.subtaskIndex}`),
    ),
  ).toEqual([['v1/0', 'v2/0'], ['v1/1', 'v2/1'], ['v1/2']]);
});

test('slices are spread over task managers, never above what one offers, and the same for any order of offers', () => {
  const offers = fc.uniqueArray(fc.record({ taskManagerId: fc.string({ minLength: 1 }), slotCount: fc.nat(4) }), {
    selector: (offer) => offer.taskManagerId,
    maxLength: 5,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), offers, (parallelism, offered) => {
      const slices = slicesOf(graph([parallelism]), new Set());
      const placed = placeSlices(slices, offered);
      const total = offered.reduce((sum, offer) => sum + offer.slotCount, 0);
      expect(placed !== null).toBe(total >= parallelism);
      if (placed === null) return;
      const used = offered.map((offer) => placed.filter((slot) => slot.taskManagerId === offer.taskManagerId).length);
      offered.forEach((offer, index) => expect(used[index]).toBeLessThanOrEqual(offer.slotCount));
      const left = offered.map((offer, index) => offer.slotCount - (used[index] ?? 0));
      // Nobody is used while another one has two more slots free.
      offered.forEach((_, index) => {
        if ((used[index] ?? 0) > 0) expect(Math.max(...left) - (left[index] ?? 0)).toBeLessThanOrEqual(1);
      });
      expect(placeSlices(slices, [...offered].reverse())).toEqual(placed);
    }),
  );
});

test('missing slots are reported with numbers', () => {
  expect(missingSlotsError('job', 4, [{ taskManagerId: 'a', slotCount: 3 }]).message).toContain(
    'needs 4 slots, but 1 task managers offer 3',
  );
});
