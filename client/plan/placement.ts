/**
 * Where operators may be together: slot-sharing groups, and which operators may join the chain of their input. Decided for
 * the whole logical graph before vertices are made.
 */
import { slotSharingGroupDefault } from '../../core/graph/slot-sharing.ts';
import type { LogicalGraph, LogicalInput, LogicalNode } from './logical-graph.ts';

/**
 * The slot-sharing group of each node, by ordinal: its own, else that of its inputs when they agree, else `default`.
 * @see Flink StreamGraphGenerator.determineSlotSharingGroup
 */
export function assignSlotSharingGroups(graph: LogicalGraph): string[] {
  const groups: string[] = [];
  for (const node of graph.nodes) {
    const ofInputs = new Set(node.inputs.map((input) => groups[input.node.ordinal] as string));
    const [inherited = slotSharingGroupDefault] = ofInputs;
    groups.push(node.slotSharingGroup ?? (ofInputs.size > 1 ? slotSharingGroupDefault : inherited));
  }
  return groups;
}

/**
 * Nodes that must stay in the chain of their source whatever is asked for: `withTimestamps` and what stands before it, the
 * source too. The event time of a record depends on the split that is being read.
 */
export function nodesBoundToSource(graph: LogicalGraph): ReadonlySet<LogicalNode> {
  const bound = new Set<LogicalNode>();
  for (const node of graph.nodes) {
    if (node.kind !== 'timestamps') continue;
    for (let current: LogicalNode | undefined = node; current !== undefined; current = current.inputs[0]?.node)
      bound.add(current);
  }
  return bound;
}

/** What decides whether a node joins the chain of its input. */
export interface ChainRules {
  readonly parallelism: readonly number[];
  readonly groups: readonly string[];
  readonly bound: ReadonlySet<LogicalNode>;
  /** The job's `chaining` option. */
  readonly chaining: boolean;
}

/** The input whose chain a node joins, or null when it must start its own. */
export function chainableInput(node: LogicalNode, rules: ChainRules): LogicalInput | null {
  const [input] = node.inputs;
  if (input === undefined || node.inputs.length !== 1) return null;
  if (input.partitioner !== 'auto' && input.partitioner !== 'forward') return null;
  // Answers come by themselves: only the head of a chain can emit outside of a record of its input.
  if (node.kind === 'async-map') return null;
  const { parallelism, groups, bound, chaining } = rules;
  const [here, there] = [node.ordinal, input.node.ordinal];
  if (parallelism[here] !== parallelism[there] || groups[here] !== groups[there]) return null;
  if (bound.has(node)) return input;
  return chaining && node.chaining === null && input.node.chaining !== 'alone' ? input : null;
}
