/**
 * The public connector API. A connector is a folder that imports only this module (and its own libraries).
 *
 * A **source** is a planner (parallelism 1), which cuts the input into splits, and readers (parallel), which open splits.
 * How input is cut depends only on the input and the options, never on parallelism. A **sink** is a writer (parallel) and
 * an optional committer. What `prepareCommit` returns travels to the committer before the barrier and is committer state;
 * `commit` is called once the checkpoint is complete, and again after every recovery, so it must be idempotent.
 *
 * Everything a connector hands the engine to keep (splits, positions, committables, writer state) is plain data that
 * the stored-value codec accepts.
 */
import type { JsonObject, PlainData } from '../plain-data.ts';
import type { Secret } from '../security/secret.ts';

export type { JsonObject, JsonValue, PlainData } from '../plain-data.ts';
export { type ChangeSign, changeSigns } from '../changelog.ts';
export { EngineError } from '../errors.ts';
export { Secret } from '../security/secret.ts';

/** Lines for the person who runs the job; `ids` say which file, partition or table is meant. */
export interface ConnectorLogger {
  /** Shown with `--verbose`. */
  info(message: string, ids?: Record<string, string | number>): void;
  /** Always shown: something the job goes on with, but its operator should know of. */
  warn(message: string, ids?: Record<string, string | number>): void;
}

/** What a part of a connector knows of the subtask it runs in. */
export interface ConnectorContext {
  readonly jobName: string;
  /** Writer and committer of a sink have the same id. */
  readonly operatorId: string;
  readonly subtaskIndex: number;
  readonly parallelism: number;
  /** Number of this try; two tries never share one. File names of uncommitted output carry it. */
  readonly attempt: number;
  /** Directory that relative paths in options are resolved against: the working directory of the submission. */
  readonly workingDirectory: string;
  readonly logger: ConnectorLogger;
  /**
   * Text of an option with the value of a secret in place of every `${secret:name}`. Options keep the reference, so that
   * graphs, logs and checkpoints never hold the value; it is revealed only to whom it is meant for.
   * @throws EngineError CONFIG_INVALID when there is no such secret where the subtask runs
   */
  secret(text: string): Secret;
  /** Aborted when the attempt is cancelled. */
  readonly signal: AbortSignal;
  /** Adds to a named counter of this operator, shown in progress and metrics (`records skipped`, `dead letters`). */
  count(name: string, amount: number): void;
  /**
   * Hands a chunk of results to the client that waits for this job (`collect()`), at most once per `id`; later calls
   * with the same id are dropped, so a repeated commit delivers nothing twice.
   */
  deliver(channel: string, id: string, values: readonly PlainData[]): void;
}

/** Planner output: the splits found since the last call, in their fixed order. */
export interface PlannedSplits<Split> {
  readonly splits: readonly Split[];
  /** True when no further split will ever come (bounded input). */
  readonly done: boolean;
}

/**
 * Finds the splits of a source, in one subtask for the whole job. Its order is the identity of splits: the same input
 * and options give the same sequence.
 */
export interface SplitPlanner<Split> {
  /** Called once, before `next`, with what `snapshot` returned, or undefined on a fresh start. */
  open(restored: PlainData | undefined): Promise<void>;
  /** Resolves with newly found splits; an unbounded planner resolves when there is something new or `signal` aborts. */
  next(): Promise<PlannedSplits<Split>>;
  /** Which splits were already returned by `next`, as plain data. */
  snapshot(): PlainData;
  /** Ends the planner; called once, also after a failure. */
  close(): Promise<void>;
}

/** Records handed over by one poll. Arrays belong to the engine from then on; the cursor makes new ones. */
export interface SourceBatch<T> {
  readonly values: readonly T[];
  /** Event times in ms that the source itself knows (a broker's timestamps), or null. */
  readonly timestamps: Float64Array | null;
  /**
   * Event time, in ms, that the source knows to be complete behind these records: those that follow in this split with that time
   * or an earlier one are late. Absent where the source knows nothing of it.
   */
  readonly watermarkMs?: number;
}

/** One open split. */
export interface SplitCursor<T> {
  /**
   * The next records, at most `recordsMax`, without waiting; null when none are at hand now (then `ready()` is awaited).
   * Synchronous: the record path makes no promise.
   */
  poll(recordsMax: number): SourceBatch<T> | null;
  /** True when `poll` will never return records again. May become true with the last batch. */
  readonly ended: boolean;
  /** Resolves when `poll` may have something or `ended` may have changed; rejects when reading failed. */
  ready(): Promise<void>;
  /**
   * Position after the first `consumed` records of the last polled batch (`0 .. values.length`); opening the split there
   * continues with the very next record.
   */
  position(consumed: number): PlainData;
  /** Ends the cursor; called once, also after a failure and with records left. */
  close(): Promise<void>;
}

/** Opens splits of a source, one reader a subtask. Which splits a reader gets is the engine's business. */
export interface SourceReader<T, Split> {
  /**
   * Opens a split.
   * @param position what `SplitCursor.position` returned, or undefined for the beginning of the split
   */
  openSplit(split: Split, position: PlainData | undefined): Promise<SplitCursor<T>>;
  /** Ends the reader, after its cursors. */
  close(): Promise<void>;
}

/** A source as used in `env.from(...)`. Plain options, and factories that run in the slot. */
export interface Source<T, Split = unknown> {
  readonly type: 'source';
  /** For example `files.parquet`. Part of the graph hash. */
  readonly kind: string;
  /** Everything that decides what is read. Part of the graph hash; never contains secrets. */
  readonly options: JsonObject;
  readonly boundedness: 'bounded' | 'unbounded';
  /** How many splits one reader keeps open at a time; Infinity for logs, 1 for files read one after the other. */
  readonly openSplitsMax: number;
  /** Name of a split in messages and state; unique within the source, for example a path. */
  splitId(split: Split): string;
  /**
   * Event time, in ms, that no record of the split is before; -Infinity where unknown. A split that waits for its turn holds
   * the watermark there; without a bound it holds it back altogether, or its on-time records would find their windows gone.
   */
  splitLowerBoundMs?(split: Split): number;
  /** A planner that has not been opened. Called in a slot, once an attempt. */
  createPlanner(context: ConnectorContext): SplitPlanner<Split>;
  /** A reader. Called in a slot, once for each subtask of an attempt. */
  createReader(context: ConnectorContext): SourceReader<T, Split>;
  /** Marker for inference only; never set. */
  readonly recordType?: T;
}

/** What a writer hands over at a barrier. */
export interface PreparedCommit {
  /** To be committed when the checkpoint completes; go to the committer. */
  readonly committables: readonly PlainData[];
  /** State of the writer itself, given to `open` of a later attempt. */
  readonly state: readonly PlainData[];
}

/**
 * Takes the records of one subtask. Between two calls of `prepareCommit` nothing it wrote may be visible as a result.
 */
export interface SinkWriter<T> {
  /** Called once before the first record, with the union of the writer states of the restored checkpoint. */
  open(restored: readonly PlainData[]): Promise<void>;
  /** Takes one record. Synchronous; buffers. `timestamp` is NaN where the record has none. */
  write(value: T, timestamp: number, rowKind: number): void;
  /** False when the buffer is full: the engine writes nothing more until `drained()` resolves. */
  readonly hasRoom: boolean;
  /** Resolves when there is room again; rejects with the first write error (which is kept, never cleared). */
  drained(): Promise<void>;
  /**
   * Makes everything written so far durable but invisible. Rejects with any earlier write error.
   * @param end true when no record follows (end of input, not stop)
   */
  prepareCommit(checkpointId: number, end: boolean): Promise<PreparedCommit>;
  /** Ends the writer; whatever was not prepared is dropped. Never touches what was prepared. */
  close(): Promise<void>;
}

/** One committable with the checkpoint that made it durable. */
export interface Committable {
  readonly checkpointId: number;
  readonly subtaskIndex: number;
  readonly data: PlainData;
}

/** Makes visible what writers prepared; runs in one subtask. */
export interface SinkCommitter {
  /** Called once, before the first `commit`. */
  open(): Promise<void>;
  /** Commits, all or nothing for a reader, in order of checkpoint. Idempotent: the same committable may come again after a recovery. */
  commit(committables: readonly Committable[]): Promise<void>;
  /**
   * Called when the first checkpoint of this attempt is complete and all it holds is committed, and again after those that
   * follow the end of the input. Every recovery starts from that checkpoint or a later one: what earlier attempts left
   * uncommitted is needed by nobody any more. A process that was given up while it slept may still write when it wakes.
   */
  removeLeftovers?(): Promise<void>;
  /** Ends the committer; nothing is undone. */
  close(): Promise<void>;
}

/** What a sink finds at its destination before a fresh run. */
export interface SinkOccupation {
  /** Human words: what is there, for the error message. */
  readonly description: string;
  /** Removes exactly what earlier runs of the sink committed there, nothing else. */
  clear(): Promise<void>;
}

/**
 * Which streams a sink takes: `append` only inserts; `upsert` what changes a table by key (it may ignore `updateBefore`);
 * `retract` every change as it comes.
 */
export type SinkAccepts = 'append' | 'upsert' | 'retract';

/** A sink as used in `stream.to(...)`. */
export interface Sink<T> {
  readonly type: 'sink';
  readonly kind: string;
  readonly options: JsonObject;
  /** Which streams it takes. Default `append`: an updating stream is refused when the job is planned. */
  readonly accepts?: SinkAccepts;
  /** A writer that has not been opened. Called in a slot, once for each subtask of an attempt. */
  createWriter(context: ConnectorContext): SinkWriter<T>;
  /** Null for a sink without commits (print, blackhole). */
  readonly createCommitter: ((context: ConnectorContext) => SinkCommitter) | null;
  /** Where results end up, for the summary of a run ("out/delays"); null when nowhere a person can look. */
  readonly destination: string | null;
  /** Asked on the client before a fresh run; null when the destination is free or the question has no meaning. */
  occupation(workingDirectory: string): Promise<SinkOccupation | null>;
  /** Marker for inference only; never set. */
  readonly recordType?: (value: T) => void;
}

/** What `env.from(...)` takes: a source, or a format that has one. */
export type SourceLike<T> = Source<T> | { readonly source: Source<T> };
/** What `stream.to(...)` takes: a sink, or a format that has one. */
export type SinkLike<T> = Sink<T> | { readonly sink: Sink<T> };
