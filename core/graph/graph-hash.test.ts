/**
 * The hash is tested through real plans of the public API in `client/plan/graph-identity.test.ts`; here only what needs
 * hand-made graphs: the law between hash and difference, and stability over releases.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../plain-data.ts';
import { describeGraphDifference, describeParameterDifference, graphHash } from './graph-hash.ts';
import type { JobGraph, OperatorNode } from './job-graph.ts';
import { jobOptionsDefault } from './job-options.ts';

const node = (id: string, config: JsonObject, upstreamIndex: number, stateful = false): OperatorNode => ({
  id,
  kind: 'map',
  name: id,
  idExplicit: true,
  config,
  stateful,
  upstreamIndex,
  upstreamTag: null,
});

/** Two vertices, `a b` and `c`. */
function graphOf(
  overrides: {
    config?: JsonObject;
    stateful?: boolean;
    name?: string;
    maxParallelism?: number;
    partitioner?: 'hash' | 'forward' | 'rebalance';
    tag?: string | null;
    last?: string;
  } = {},
): JobGraph {
  const last = overrides.last ?? 'c';
  return {
    formatVersion: 1,
    name: overrides.name ?? 'job',
    parameters: {},
    options: { ...jobOptionsDefault, maxParallelism: overrides.maxParallelism ?? 128 },
    vertices: [
      {
        id: 'a',
        name: 'a',
        operators: [node('a', {}, -1), node('b', overrides.config ?? {}, 0, overrides.stateful ?? false)],
        parallelism: 1,
      },
      { id: last, name: last, operators: [node(last, {}, -1, true)], parallelism: 1 },
    ],
    edges: [
      {
        sourceVertex: 'a',
        sourceOperatorIndex: 1,
        sourceTag: overrides.tag ?? null,
        targetVertex: last,
        targetInput: 0,
        partitioner: overrides.partitioner ?? 'forward',
      },
    ],
  };
}

const overrides = fc.record(
  {
    config: fc.constantFrom<JsonObject>(
      {},
      { size: 1 },
      { size: 2 },
      { size: null },
      { deep: { list: [1] } },
      { deep: {} },
    ),
    stateful: fc.boolean(),
    name: fc.constantFrom('job', 'other'),
    maxParallelism: fc.constantFrom(128, 64),
    partitioner: fc.constantFrom('hash', 'forward', 'rebalance'),
    tag: fc.constantFrom(null, 'late'),
    last: fc.constantFrom('c', 'd'),
  },
  { requiredKeys: [] },
);

describe('graph difference', () => {
  test('has lines exactly when the hashes differ', () => {
    fc.assert(
      fc.property(overrides, overrides, (before, after) => {
        const [left, right] = [graphOf(before), graphOf(after)];
        expect(describeGraphDifference(left, right).length > 0).toBe(graphHash(left) !== graphHash(right));
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    [{ config: { size: 1 } }, { config: { size: 2 } }, "operator 'b': size was 1, now 2"],
    [{ config: { deep: { x: 1 } } }, { config: { deep: { y: 2 } } }, "operator 'b': deep.x was 1, now absent"],
    [{ stateful: true }, {}, "operator 'b': had state, now has none"],
    [{}, { name: 'other' }, "the job was named 'job', now 'other'"],
    [{}, { maxParallelism: 64 }, 'maxParallelism was 128, now 64; it is fixed for the life of the state'],
    [{}, { last: 'd' }, "operator 'c' (map) was removed and has state"],
    [{}, { last: 'd' }, "operator 'd' (map) was added"],
    [{}, { partitioner: 'hash' }, "operator 'c': was fed by b -any-> 0, now by b -hash-> 0"],
    [{}, { tag: 'late' }, "operator 'c': was fed by b -any-> 0, now by b[late] -any-> 0"],
  ] as const)('between %j and %j says %s', (before, after, line) => {
    expect(describeGraphDifference(graphOf(before), graphOf(after))).toContain(line);
  });

  test('of parameters names each when values differ', () => {
    const [before, after] = [
      { ...graphOf(), parameters: { limit: 1, mode: 'fast' } },
      { ...graphOf(), parameters: { limit: 2, mode: 'fast', path: 'x' } },
    ];
    expect(describeParameterDifference(before, after)).toEqual([
      'parameter limit was 1, now 2',
      'parameter path was absent, now "x"',
    ]);
    expect(graphHash(before)).toBe(graphHash(after));
  });
});

describe('graph hash', () => {
  test('stays what it was when a release changes nothing about it', () => {
    // State written by an earlier release is found by this; a new value needs a new hash format version and an upgrade path.
    expect(graphHash(graphOf({ config: { b: [1, { c: null }], a: 'é' } }))).toBe(
      '186d92995abcb29fbb8bfbb7e1fc450f43cbd720a3a8f2cb32972137dcd82aac',
    );
  });
});
