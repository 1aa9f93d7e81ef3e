/** What the settings of an operator do to its node, for streams and sinks alike. */
import type { LogicalNode } from '../plan/logical-graph.ts';
import { checkCount, checkId, checkName } from './checks.ts';
import type { SinkHandle } from './stream-types.ts';

/** A sink has these only; the stream of a node hands its settings on to one of these. */
export class NodeSettings implements SinkHandle {
  readonly #node: LogicalNode;

  constructor(node: LogicalNode) {
    this.#node = node;
  }

  uid(id: string): this {
    this.#node.change().uid = checkId(id, 'uid');
    return this;
  }

  name(name: string): this {
    this.#node.change().name = checkName(name, 'name');
    return this;
  }

  parallelism(subtaskCount: number): this {
    this.#node.change().parallelism = checkCount(subtaskCount, 'parallelism');
    return this;
  }

  slotSharingGroup(group: string): this {
    this.#node.change().slotSharingGroup = checkId(group, 'slotSharingGroup');
    return this;
  }

  /** `alone` says more than `new-chain` and stays. */
  startNewChain(): this {
    this.#node.change().chaining ??= 'new-chain';
    return this;
  }

  disableChaining(): this {
    this.#node.change().chaining = 'alone';
    return this;
  }
}
