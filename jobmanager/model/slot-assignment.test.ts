import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { slotSharingGroups, slotsNeeded } from '../../core/graph/slot-sharing.ts';
import { missingSlotsError, placeSlices, slicesOf } from './slot-assignment.ts';

/** Vertices one after the other, or beside each other. */
const graph = (
  parallelisms: readonly number[],
  groups: readonly (string | null)[] = [],
  connected = true,
): JobGraph => {
  const vertices = parallelisms.map((parallelism, index) => ({
    id: `v${index}`,
    name: `v${index}`,
    operators: [],
    parallelism,
    ...(groups[index] == null ? {} : { slotSharingGroup: groups[index] }),
  }));
  const edges = vertices.slice(1).map(({ id }, index) => ({
    sourceVertex: `v${index}`,
    sourceOperatorIndex: 0,
    sourceTag: null,
    targetVertex: id,
    targetInput: 0,
    partitioner: 'rebalance' as const,
  }));
  const options = {} as JobGraph['options'];
  return { formatVersion: 1, name: 'job', parameters: {}, options, vertices, edges: connected ? edges : [] };
};

test('slices put subtask i of every vertex into slot i and leave out finished vertices', () => {
  expect(
    slicesOf(graph([1, 3, 2]), new Set(['v0'])).map((slice) =>
      slice.subtasks.map((one) => `${one.vertexId}/${one.subtaskIndex}`),
    ),
  ).toEqual([['v1/0', 'v2/0'], ['v1/1', 'v2/1'], ['v1/2']]);
});

const namesOf = (one: JobGraph, finished: readonly string[] = []): string[] =>
  slicesOf(one, new Set(finished)).map(
    ({ slotIndex, subtasks }) => `${slotIndex}: ${subtasks.map((s) => `${s.vertexId}/${s.subtaskIndex}`).join(' ')}`,
  );

test('slices put vertices of different slot-sharing groups into different slots', () => {
  const shared = graph([1, 2, 2, 1], [null, 'io', null, 'io']);
  expect(namesOf(shared)).toEqual(['0: v0/0 v2/0', '1: v2/1', '2: v1/0 v3/0', '3: v1/1']);
  expect(slotsNeeded(shared)).toBe(4);
});

test('independent pipelines get slots of their own, and are one region where they name one group', () => {
  const beside = graph([2, 1, 1], [], false);
  expect(namesOf(beside)).toEqual(['0: v0/0', '1: v0/1', '2: v1/0', '3: v2/0']);
  expect(slicesOf(beside, new Set()).map(({ region }) => region)).toEqual([0, 0, 1, 2]);
  const sharing = graph([2, 1, 1], ['io', null, 'io'], false);
  expect(namesOf(sharing)).toEqual(['0: v0/0 v2/0', '1: v0/1', '2: v1/0']);
  expect(slicesOf(sharing, new Set()).map(({ region }) => region)).toEqual([0, 0, 1]);
  expect(slotSharingGroups(beside).map(({ name }) => name)).toEqual(['default', 'default 2', 'default 3']);
});

test('slices keep their numbers when a group has finished', () => {
  const shared = graph([2, 1, 1], [null, 'io', 'last']);
  expect(namesOf(shared, ['v0'])).toEqual(['2: v1/0', '3: v2/0']);
  expect(namesOf(shared, ['v1'])).toEqual(['0: v0/0', '1: v0/1', '3: v2/0']);
});

test('no slot has two subtasks of one vertex or of two groups, and all subtasks are placed, for any graph', () => {
  const vertex = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.constantFrom(null, 'a', 'b', 'default'));
  fc.assert(
    fc.property(fc.array(vertex, { minLength: 1, maxLength: 6 }), fc.boolean(), (drawn, connected) => {
      const any = graph(
        drawn.map(([parallelism]) => parallelism),
        drawn.map(([, group]) => group),
        connected,
      );
      const slices = slicesOf(any, new Set());
      expect(slices.map((slice) => slice.slotIndex)).toEqual(slices.map((_, index) => index));
      expect(slices).toHaveLength(slotsNeeded(any));
      for (const { subtasks } of slices) {
        const vertices = subtasks.map((subtask) => any.vertices.find(({ id }) => id === subtask.vertexId));
        expect(new Set(vertices).size).toBe(vertices.length);
        expect(new Set(vertices.map((one) => one?.slotSharingGroup ?? 'default')).size).toBe(1);
      }
      const total = drawn.reduce((sum, [parallelism]) => sum + parallelism, 0);
      expect(slices.flatMap(({ subtasks }) => subtasks)).toHaveLength(total);
    }),
  );
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
  expect(missingSlotsError('job', 4, { taskManagers: 1, slots: 3, freeSlots: 3 }).message).toContain(
    'needs 4 slots, but 1 task managers offer 3',
  );
});
