/**
 * What must hold of partitioners, chaining hints and slot-sharing groups. Every refusal names the operator and the remedy.
 */
import { EngineError } from '../../core/errors.ts';
import type { LogicalGraph, LogicalNode } from './logical-graph.ts';
import type { ChainRules } from './placement.ts';

/** @throws EngineError JOB_INVALID for the first thing that cannot run */
export function checkPlacement(graph: LogicalGraph, ids: readonly string[], rules: ChainRules): void {
  for (const node of graph.nodes) {
    const why = forwardProblem(node, ids, rules) ?? boundProblem(node, ids, rules);
    if (why === null) continue;
    const id = ids[node.ordinal] as string;
    throw new EngineError('JOB_INVALID', `job '${graph.jobName}': operator '${id}' ${why}`, { ids: { operator: id } });
  }
}

function forwardProblem(node: LogicalNode, ids: readonly string[], { parallelism }: ChainRules): string | null {
  for (const { node: from, partitioner } of node.inputs) {
    const [before, here] = [parallelism[from.ordinal], parallelism[node.ordinal]];
    if (partitioner !== 'forward' || before === here) continue;
    return `is fed by forward() and has parallelism ${here}, but '${ids[from.ordinal]}' has ${before}; use the same parallelism, or rescale() or rebalance() instead`;
  }
  return null;
}

/** Between a source and its timestamps nothing may be taken apart. */
function boundProblem(node: LogicalNode, ids: readonly string[], { bound, groups }: ChainRules): string | null {
  if (!bound.has(node)) return null;
  const [input] = node.inputs;
  const reason = 'event time is that of the split being read';
  if (node.chaining === 'alone')
    return `calls disableChaining(), but must be in one chain with its source and withTimestamps: ${reason}; remove it, or call startNewChain() on the operator after withTimestamps`;
  if (input === undefined) return null;
  if (node.chaining === 'new-chain')
    return `calls startNewChain(), but must be in the chain of its source until withTimestamps: ${reason}; call it on the operator after withTimestamps`;
  if (groups[node.ordinal] !== groups[input.node.ordinal])
    return `is in slot-sharing group '${groups[node.ordinal]}' and '${ids[input.node.ordinal]}' in '${groups[input.node.ordinal]}', but it must be in the chain of its source until withTimestamps; set the group on the source, or on the operator after withTimestamps`;
  return null;
}
