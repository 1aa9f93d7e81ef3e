/**
 * The job that runs in the simulated world, its input and its oracle.
 *
 *   planner (1) ─split─▶ reader (p) ─hash─▶ counter + sink writer (p) ─▶ committer (1)
 *
 * The counter emits the running count of the record's key, and per tumbling window and key the number of records. Whatever the
 * interleaving of splits, the multiset of results is the same, so the oracle is a plain loop over the input.
 */
import type { JobGraph, JobVertex, OperatorNode, Partitioner } from '../../core/graph/job-graph.ts';
import type { OperatorKind } from '../../core/operators.ts';
import type { SimulationConfiguration } from './configuration.ts';
import { hashStart, mixText, randomStream } from './random.ts';

export const jobName = 'simulated';
export const windowMs = 100;

export interface InputRecord {
  readonly key: string;
  readonly timestamp: number;
}

/** Splits of the input; timestamps grow within each. */
export function makeInput(configuration: SimulationConfiguration): readonly (readonly InputRecord[])[] {
  const random = randomStream(configuration.seed, 'input');
  return Array.from({ length: configuration.splitCount }, () => {
    let timestamp = random.between(0, 200);
    return Array.from({ length: configuration.recordsPerSplit }, () => {
      timestamp += random.between(1, 60);
      return { key: `k${random.between(1, configuration.keyCount)}`, timestamp };
    });
  });
}

export const windowEndOf = (timestamp: number): number => (Math.floor(timestamp / windowMs) + 1) * windowMs;
export const countResult = (key: string, count: number): string => `${key}#${count}`;
export const windowResult = (windowEnd: number, key: string, count: number): string => `w${windowEnd}|${key}=${count}`;

/** Every result the job has to deliver, each exactly once. */
export function oracle(
  configuration: SimulationConfiguration,
  input: readonly (readonly InputRecord[])[],
): Set<string> {
  const counts = new Map<string, number>();
  const windows = new Map<string, { end: number; key: string; count: number }>();
  const results = new Set<string>();
  for (const { key, timestamp } of input.flat()) {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    results.add(countResult(key, count));
    const end = windowEndOf(timestamp);
    const window = windows.get(`${end}|${key}`) ?? { end, key, count: 0 };
    window.count++;
    windows.set(`${end}|${key}`, window);
  }
  if (!configuration.idleReaders)
    for (const { end, key, count } of windows.values()) results.add(windowResult(end, key, count));
  return results;
}

export function keyGroupOf(key: string, maxParallelism: number): number {
  return mixText(hashStart, key) % maxParallelism;
}

function operator(id: string, kind: OperatorKind, upstreamIndex = -1): OperatorNode {
  return { id, kind, name: id, idExplicit: true, config: {}, stateful: true, upstreamIndex, upstreamTag: null };
}

export function makeGraph(configuration: SimulationConfiguration, parallelism: number): JobGraph {
  const vertex = (id: string, operators: readonly OperatorNode[], count: number): JobVertex => ({
    id,
    name: id,
    operators,
    parallelism: count,
  });
  const edge = (sourceVertex: string, targetVertex: string, partitioner: Partitioner) => {
    return { sourceVertex, sourceOperatorIndex: 0, sourceTag: null, targetVertex, targetInput: 0, partitioner };
  };
  return {
    formatVersion: 1,
    name: jobName,
    parameters: {},
    options: {
      parallelism,
      maxParallelism: configuration.maxParallelism,
      checkpointIntervalMs: configuration.checkpointIntervalMs,
      checkpointTimeoutMs: configuration.checkpointTimeoutMs,
      checkpointsRetained: configuration.checkpointsRetained,
      checkpointFailuresMax: configuration.checkpointFailuresMax,
      bufferTimeoutMs: 5,
      restart: {
        kind: 'exponential-delay',
        initialDelayMs: 50,
        maxDelayMs: 500,
        multiplier: 2,
        resetAfterMs: 2_000,
        jitter: 0.2,
        attemptsMax: null,
      },
    },
    vertices: [
      vertex('planner', [operator('planner', 'source-planner')], 1),
      vertex('reader', [operator('reader', 'source-reader')], parallelism),
      vertex('counter', [operator('counter', 'process'), operator('writer', 'sink-writer', 0)], parallelism),
      vertex('committer', [operator('committer', 'sink-committer')], 1),
    ],
    edges: [
      edge('planner', 'reader', 'split'),
      edge('reader', 'counter', 'hash'),
      edge('counter', 'committer', 'rebalance'),
    ],
  };
}
