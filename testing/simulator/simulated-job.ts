/**
 * The job that runs in the simulated world, its input and its oracle.
 *
 *   planner (1) ─split─▶ reader (p) ─hash─▶ counter + sink writer (p) ─▶ committer (1)
 *
 * once, or twice beside each other: two regions, which fail on their own.
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

/** What the subtasks of a vertex are, and in which pipeline: `counter` is of the first, `counter.2` of the second. */
export type Role = 'planner' | 'reader' | 'counter' | 'committer';
const roles: readonly Role[] = ['planner', 'reader', 'counter', 'committer'];
export const roleOf = (vertexId: string): Role => vertexId.split('.', 1)[0] as Role;
const pipelineOf = (vertexId: string): string => vertexId.slice(roleOf(vertexId).length);

/** The vertex before or after one of the same pipeline, or null. */
export function neighbour(vertexId: string, step: 1 | -1): string | null {
  const role = roles[roles.indexOf(roleOf(vertexId)) + step];
  return role === undefined ? null : `${role}${pipelineOf(vertexId)}`;
}

/** A result as the pipeline of a vertex delivers it. */
export const delivered = (vertexId: string, result: string): string => `${pipelineOf(vertexId)}${result}`;

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
  const once = new Set<string>();
  for (const { key, timestamp } of input.flat()) {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    once.add(countResult(key, count));
    const end = windowEndOf(timestamp);
    const window = windows.get(`${end}|${key}`) ?? { end, key, count: 0 };
    window.count++;
    windows.set(`${end}|${key}`, window);
  }
  if (!configuration.idleReaders)
    for (const { end, key, count } of windows.values()) once.add(windowResult(end, key, count));
  return new Set(pipelinesOf(configuration).flatMap((suffix) => [...once].map((result) => `${suffix}${result}`)));
}

const pipelinesOf = ({ pipelines }: SimulationConfiguration): readonly string[] =>
  Array.from({ length: pipelines }, (_, index) => (index === 0 ? '' : `.${index + 1}`));

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
    vertices: pipelinesOf(configuration).flatMap((it) => [
      vertex(`planner${it}`, [operator(`planner${it}`, 'source-planner')], 1),
      vertex(`reader${it}`, [operator(`reader${it}`, 'source-reader')], parallelism),
      vertex(
        `counter${it}`,
        [operator(`counter${it}`, 'process'), operator(`writer${it}`, 'sink-writer', 0)],
        parallelism,
      ),
      vertex(`committer${it}`, [operator(`committer${it}`, 'sink-committer')], 1),
    ]),
    edges: pipelinesOf(configuration).flatMap((it) => [
      edge(`planner${it}`, `reader${it}`, 'split'),
      edge(`reader${it}`, `counter${it}`, 'hash'),
      edge(`counter${it}`, `committer${it}`, 'rebalance'),
    ]),
  };
}
