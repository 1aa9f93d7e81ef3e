/** What the settings of an operator do to its node, for streams and sinks alike. */
import type { LogicalNode } from '../plan/logical-graph.ts';
import { checkCount, checkId, checkName } from './checks.ts';

export function setUid(node: LogicalNode, id: string): void {
  node.change().uid = checkId(id, 'uid');
}

export function setName(node: LogicalNode, name: string): void {
  node.change().name = checkName(name, 'name');
}

export function setParallelism(node: LogicalNode, subtaskCount: number): void {
  node.change().parallelism = checkCount(subtaskCount, 'parallelism');
}

export function setSlotSharingGroup(node: LogicalNode, group: string): void {
  node.change().slotSharingGroup = checkId(group, 'slotSharingGroup');
}

/** `alone` says more than `new-chain` and stays. */
export function startNewChain(node: LogicalNode): void {
  node.change().chaining ??= 'new-chain';
}

export function disableChaining(node: LogicalNode): void {
  node.change().chaining = 'alone';
}
