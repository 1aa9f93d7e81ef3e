/**
 * What a job definition builds while it runs: one logical node per call of the author (`map`, `window(...).aggregate`,
 * `to`), in the order of the calls, so that every node follows its inputs. Ids, chains and vertices come later, in
 * `plan-job.ts`, because `.uid()`, `.name()` and `.parallelism()` are called after the node exists.
 */
import type { ChangelogMode } from '../../core/changelog.ts';
import { EngineError } from '../../core/errors.ts';
import type { ChainingHint } from '../../core/graph/job-graph.ts';
import type { CustomPartition, OnError, OperatorFunctions, OperatorKind } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import { outputMode } from './changelog-modes.ts';

/** A source and a sink are one node here and up to two operators in the job graph. */
export type LogicalKind = 'source' | 'sink' | Exclude<OperatorKind, `source-${string}` | `sink-${string}`>;

/** How a stream asked for its records to be spread; `auto` is forward where parallelism allows it, else rebalance. */
export type RequestedPartitioner =
  | 'auto'
  | 'forward'
  | 'rebalance'
  | 'rescale'
  | 'shuffle'
  | 'global'
  | 'broadcast'
  | 'hash'
  | 'custom';

/** One output of a node as seen by whoever reads it. */
export interface StreamEnd {
  readonly node: LogicalNode;
  /** Side output, null for the main one. */
  readonly tag: string | null;
  readonly partitioner: RequestedPartitioner;
  /** With partitioner `custom`: what decides. */
  readonly custom?: CustomPartition;
}

/** An end connected to an input of a node. */
export interface LogicalInput extends StreamEnd {
  readonly input: number;
}

export interface LogicalNodeOptions {
  readonly kind: LogicalKind;
  readonly inputs: readonly LogicalInput[];
  readonly functions: OperatorFunctions;
  readonly config: JsonObject;
  /** See `OperatorNode.tuning`. */
  readonly tuning?: JsonObject;
  /** What the operator is called when it has no name: the connector's kind for sources and sinks. */
  readonly defaultName?: string;
}

/** Side output of late records; reserved, so no output tag may have this name. */
export const lateTag = 'late';
/** Side output of late records of the second stream of a join; reserved as well. */
export const lateSecondTag = 'late-second';

export class LogicalNode {
  readonly ordinal: number;
  readonly kind: LogicalKind;
  readonly inputs: readonly LogicalInput[];
  readonly functions: OperatorFunctions;
  readonly config: JsonObject;
  readonly tuning: JsonObject | null;
  readonly defaultName: string | null;
  /** Null: as its inputs. */
  slotSharingGroup: string | null = null;
  chaining: ChainingHint | null = null;
  /** What its main output is: new records only, or changes of rows. */
  readonly changelog: ChangelogMode;
  uid: string | null = null;
  name: string | null = null;
  parallelism: number | null = null;
  onError: OnError = 'fail';
  /** Side outputs of late records that somebody asked for: {@link lateTag}, {@link lateSecondTag}. */
  readonly lateTags = new Set<string>();
  readonly #graph: LogicalGraph;

  constructor(graph: LogicalGraph, ordinal: number, options: LogicalNodeOptions) {
    this.#graph = graph;
    this.ordinal = ordinal;
    this.kind = options.kind;
    this.inputs = options.inputs;
    this.functions = options.functions;
    this.config = options.config;
    this.tuning = options.tuning ?? null;
    this.defaultName = options.defaultName ?? null;
    this.changelog = outputMode(options);
  }

  /** Guards every later change: what is set after the definition returned would be lost silently. */
  change(): this {
    this.#graph.assertOpen();
    return this;
  }
}

export class LogicalGraph {
  readonly jobName: string;
  readonly nodes: LogicalNode[] = [];
  #open = true;

  constructor(jobName: string) {
    this.jobName = jobName;
  }

  add(options: LogicalNodeOptions): LogicalNode {
    this.assertOpen();
    for (const input of options.inputs) {
      if (this.nodes[input.node.ordinal] !== input.node) {
        throw new EngineError(
          'JOB_INVALID',
          `job '${this.jobName}': a stream of another job definition was used; make every stream from this definition's env`,
        );
      }
    }
    const node = new LogicalNode(this, this.nodes.length, options);
    this.nodes.push(node);
    return node;
  }

  close(): void {
    this.#open = false;
  }

  assertOpen(): void {
    if (this.#open) return;
    throw new EngineError(
      'JOB_INVALID',
      `job '${this.jobName}' was changed after its definition returned; a definition is synchronous: build all streams before it returns`,
    );
  }
}
