/**
 * The part of a graph that its hash and its differences are about: operators with their inputs, independent of
 * parallelism and of how operators are chained.
 */
import type { JsonObject } from '../plain-data.ts';
import type { JobGraph } from './job-graph.ts';

/** Partitioners by which a record may go to any subtask: which of them is used says nothing about state or results. */
const anywhere: ReadonlySet<string> = new Set(['forward', 'rebalance', 'rescale', 'shuffle']);

/** One operator with its inputs, independent of parallelism. */
export interface HashedOperator {
  readonly id: string;
  readonly kind: string;
  readonly config: JsonObject;
  readonly stateful: boolean;
  /** Texts `operator[side output] -partitioner-> input`, sorted; those that say nothing about results are `any`. */
  readonly inputs: readonly string[];
}

/** The operators of a graph with their inputs, sorted by id. */
export function hashedOperators(graph: JobGraph): HashedOperator[] {
  const idAt = new Map(
    graph.vertices.map((vertex) => [vertex.id, vertex.operators.map((operator) => operator.id)] as const),
  );
  const inputs = new Map<string, string[]>();
  const connect = (target: string, from: string, tag: string | null, partitioner: string, input: number): void => {
    const partitioning = anywhere.has(partitioner) ? 'any' : partitioner;
    const text = `${from}${tag === null ? '' : `[${tag}]`} -${partitioning}-> ${input}`;
    inputs.set(target, [...(inputs.get(target) ?? []), text]);
  };
  for (const edge of graph.edges) {
    connect(
      edge.targetVertex,
      idAt.get(edge.sourceVertex)?.[edge.sourceOperatorIndex] ?? '?',
      edge.sourceTag,
      edge.partitioner,
      edge.targetInput,
    );
  }
  for (const { operators } of graph.vertices) {
    for (const { id, upstreamIndex, upstreamTag } of operators) {
      if (upstreamIndex >= 0) connect(id, operators[upstreamIndex]?.id ?? '?', upstreamTag, 'forward', 0);
    }
  }
  return graph.vertices
    .flatMap((vertex) => vertex.operators)
    .map(({ id, kind, config, stateful }) => ({ id, kind, config, stateful, inputs: (inputs.get(id) ?? []).sort() }))
    .sort((left, right) => (left.id < right.id ? -1 : left.id > right.id ? 1 : 0));
}
