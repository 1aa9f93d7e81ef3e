/** What the settings of an operator do to its node, for streams and sinks alike. */
import type { LogicalNode } from '../plan/logical-graph.ts';
import { checkCount, checkId, checkName } from './checks.ts';
import type { SinkHandle } from './stream-types.ts';

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

/** Settings of a node without an output: a sink. */
export class NodeSettings implements SinkHandle {
  readonly #node: LogicalNode;

  constructor(node: LogicalNode) {
    this.#node = node;
  }

  uid(id: string): this {
    setUid(this.#node, id);
    return this;
  }

  name(name: string): this {
    setName(this.#node, name);
    return this;
  }

  parallelism(subtaskCount: number): this {
    setParallelism(this.#node, subtaskCount);
    return this;
  }

  slotSharingGroup(group: string): this {
    setSlotSharingGroup(this.#node, group);
    return this;
  }

  startNewChain(): this {
    startNewChain(this.#node);
    return this;
  }

  disableChaining(): this {
    disableChaining(this.#node);
    return this;
  }
}
