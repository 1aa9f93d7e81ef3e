/**
 * The job graph: what the client plans and ships. Data only, so the job manager can schedule it without running user code,
 * and its hash is a fingerprint of everything that decides the meaning of state.
 *
 * A vertex is an operator chain (a tree: an operator may feed several operators of its chain). Vertices are listed in
 * topological order. A source is two vertices (planner, reader), a sink with commits is writer and committer.
 */
import type { JsonObject } from '../plain-data.ts';
import type { OperatorKind } from '../operators.ts';

export const jobGraphFormatVersion = 1;

/**
 * How records of an edge choose the subtask they go to: `forward` to the one of the same index, `hash` by key group,
 * `rebalance` in turn over all, `rescale` in turn over a share of its own (see `rescaleTargets`), `shuffle` at random,
 * `global` all to the first, `broadcast` each to all, `custom` as a function of the job's author says. `split` sends a
 * planned split to `split index % parallelism`.
 */
export type Partitioner =
  | 'forward'
  | 'hash'
  | 'rebalance'
  | 'broadcast'
  | 'split'
  | 'rescale'
  | 'shuffle'
  | 'global'
  | 'custom';

/** What an operator asked for about its chain: to be the head of one, or to be alone in one. */
export type ChainingHint = 'new-chain' | 'alone';

/** One operator as data: what it is called, what it does, and what feeds it. */
export interface OperatorNode {
  readonly id: string;
  readonly kind: OperatorKind;
  /** Readable, for messages and plots. */
  readonly name: string;
  /** True when the user gave the id; else it is derived from the path (kind, name, ordinal). */
  readonly idExplicit: boolean;
  /**
   * What decides the operator's meaning besides its functions, by kind:
   * - source-planner, source-reader: `{ source: kind, options, boundedness }`
   * - timestamps: `{ outOfOrdernessMs (bounded) or watermarks: kind of strategy, idleTimeoutMs | null, onBadTimestamp: 'fail' | 'skip' |
   *   { sideOutput: tag }, minTimestampMs?, maxTimestampMs?, maxAheadOfClockMs? }`
   * - reduce: `{}`
   * - process, co-process: `{ states: { name: 'value' | 'map' | 'list' | 'reducing' | { kind: 'aggregating', aggregate: { kind, ...options } } } }`
   * - plain-process, plain-co-process: `{ states: { name: { kind: 'operator-list', mode: 'split' | 'union' } } }`; co-flat-map: `{}`
   * - broadcast-process: `{ states, broadcastStates: { name: 'map' } }`; plain-broadcast-process without `states`
   * - aggregate: `{ aggregates: { name: options } }`
   * - window-aggregate: `{ window: a definition of core/windows.ts as data (`gapMs` null: the gap is a function), allowedLatenessMs, aggregates: { name: { kind, ...options } }, lateTag: string | null }`
   * - async-map: `{ order: 'ordered' | 'unordered', flat: boolean, onTimeout: 'fail' | 'skip' | 'call' | { sideOutput: tag } }`
   * - window: `{ window, allowedLatenessMs, trigger: { kind, states, ...options }, evictor: { kind, ...options } | null, contents:
   *   'records' | 'reduce' | 'aggregate', aggregates?, states, windowStates, lateTag: string | null }`
   * - window-co-group: `{ window, allowedLatenessMs, trigger, type?: 'inner' | 'left' | 'right' | 'full', lateTag, lateSecondTag }`
   * - to-changelog: `{ mode: 'upsert' | 'retract' }`; changes: `{}`; upserts: `{ deletes: 'function' | 'kind' }`
   * - updating-aggregate: `{ aggregates: { name: options }, emitBefore }`
   * - top-n: `{ n, order: 'asc' | 'desc', rank }`; dedup: `{ keep: 'first' | 'last', by: 'time' | 'arrival', ttlMs | null }`
   * - join: `{ type: 'inner' | 'left' | 'right' | 'full', ttlMs | null, first: mode, second: mode }`
   * - interval-join: `{ lowerMs, upperMs }` (both inclusive), `lateTag`, `lateSecondTag: string | null`
   * - sink-writer, sink-committer: `{ sink: kind, options }`
   * An operator with one input that is a changelog has `changelog: 'upsert' | 'retract'` as well.
   * Every kind with a user function also has `onError: 'fail' | 'skip' | { sideOutput: tag }`.
   */
  readonly config: JsonObject;
  /**
   * What may change without changing the meaning of state, so it is no part of the graph hash, by kind:
   * - async-map: `{ capacity, timeoutMs, retry: { attempts, delayMs, maxDelayMs | null, backoff } | null }`
   */
  readonly tuning?: JsonObject;
  /** Absent: chained where the graph allows it. */
  readonly chaining?: ChainingHint;
  /** True when the operator keeps state that a checkpoint restores. */
  readonly stateful: boolean;
  /** Index in the chain of the operator that feeds this one; -1 for the head. */
  readonly upstreamIndex: number;
  /** Side output of the upstream operator that feeds this one; null for its main output. */
  readonly upstreamTag: string | null;
}

/** An operator chain: operators that call each other directly, in the same subtask. */
export interface JobVertex {
  /** Id of the head operator. */
  readonly id: string;
  readonly name: string;
  /** In chain order, each after its upstream. */
  readonly operators: readonly OperatorNode[];
  readonly parallelism: number;
  /** Vertices of different groups never share a slot. Absent: the group `default`. */
  readonly slotSharingGroup?: string;
}

/** Records of one operator of a vertex on their way to the head of another. */
export interface JobEdge {
  readonly sourceVertex: string;
  /** Operator of the source vertex (index in its chain) whose output this is. */
  readonly sourceOperatorIndex: number;
  /** Side output, null for the main output. */
  readonly sourceTag: string | null;
  readonly targetVertex: string;
  /** Input of the target's head operator: 0, or 1 for its second one (the side of `broadcast-input`, the other side of a join). */
  readonly targetInput: number;
  readonly partitioner: Partitioner;
  /** Place of the edge's function among the `partitions` of the target's functions; only with partitioner `custom`. */
  readonly partitionIndex?: number;
}

/** Restart strategies, after Flink. */
export type RestartStrategyOptions =
  | {
      readonly kind: 'exponential-delay';
      readonly initialDelayMs: number;
      readonly maxDelayMs: number;
      readonly multiplier: number;
      /** Running this long without a failure resets the delay. */
      readonly resetAfterMs: number;
      readonly jitter: number;
      /** Restarts before giving up; null: never. */
      readonly attemptsMax: number | null;
    }
  | { readonly kind: 'fixed-delay'; readonly delayMs: number; readonly attemptsMax: number }
  | {
      readonly kind: 'failure-rate';
      readonly delayMs: number;
      readonly failuresMax: number;
      readonly intervalMs: number;
    }
  | { readonly kind: 'none' };

/** Options of a job that travel with its graph; times in ms. */
export interface JobOptions {
  readonly parallelism: number;
  readonly maxParallelism: number;
  readonly checkpointIntervalMs: number;
  readonly checkpointTimeoutMs: number;
  /** Completed checkpoints kept. */
  readonly checkpointsRetained: number;
  /** Failed checkpoints in a row before the job fails. */
  readonly checkpointFailuresMax: number;
  readonly bufferTimeoutMs: number;
  /** False: every operator is a vertex of its own, but for those that must stay with their source. Absent: true. */
  readonly chaining?: boolean;
  readonly restart: RestartStrategyOptions;
}

/** What is submitted: vertices and edges as data. Its hash decides whether state fits. */
export interface JobGraph {
  readonly formatVersion: number;
  readonly name: string;
  /** Resolved parameters; all that a slot sees. */
  readonly parameters: JsonObject;
  readonly options: JobOptions;
  readonly vertices: readonly JobVertex[];
  readonly edges: readonly JobEdge[];
}
