/**
 * Drives one operator the way a subtask does: batches through `prepare`, watermarks, processing time, room limits, snapshot
 * and restore (into another parallelism too), beside the memory or the cold backend. Every test of a keyed operator runs
 * under both.
 */
import { noSecrets } from '../core/security/secret.ts';
import { keyGroupOf } from '../core/codec/key-hash.ts';
import { EngineError } from '../core/errors.ts';
import { keyGroupRange, type KeyGroupRange } from '../core/key-groups.ts';
import type { Key, OperatorFunctions, OperatorKind } from '../core/operators.ts';
import type { JsonObject } from '../core/plain-data.ts';
import { BatchBuilder } from '../core/stream/batch-builder.ts';
import type { Batch, RowKind } from '../core/stream/batch.ts';
import { forEachRow, type RowBlock, RowBlockWriter } from '../runtime/checkpoint/row-block.ts';
import {
  type Collector,
  type Operator,
  type OperatorContext,
  type OperatorMetrics,
  RecordScope,
  reservedKeyGroup,
  type RestoredRow,
  type SnapshotTask,
} from '../runtime/operators/operator.ts';
import { memoryBackend, type StateBackend } from '../runtime/state/backend.ts';
import { createColdTestBackend } from '../runtime/state/cold-test-backend.ts';

/** A record as it came out of the operator. */
export interface OutputRecord {
  readonly value: unknown;
  readonly timestamp: number;
  readonly splitWatermark: number;
  /** Only where it is not an insert. */
  readonly rowKind?: number;
}

/** A record to be put in; absent attributes are NaN, an absent row kind is insert. */
export interface InputRecord {
  readonly value: unknown;
  readonly timestamp?: number;
  readonly splitWatermark?: number;
  readonly rowKind?: RowKind;
}

export interface HarnessOptions<Kind extends OperatorKind> {
  readonly create: (context: OperatorContext<Kind>) => Operator;
  readonly functions: Extract<OperatorFunctions, { kind: Kind }>;
  readonly config?: JsonObject;
  readonly tuning?: JsonObject;
  /** Fires when the attempt is canceled; never, unless given. */
  readonly signal?: AbortSignal;
  readonly operatorId?: string;
  /** Default memory. */
  readonly backend?: TestedBackend | StateBackend;
  readonly maxParallelism?: number;
  readonly parallelism?: number;
  readonly subtaskIndex?: number;
  /** Rows to restore, older files first; those of other key groups are left out. */
  readonly restore?: readonly RestoredRow[];
  readonly nowMs?: number;
}

/** Backends by name. `resting`: in memory, rows of tables that rest are in stored form as soon as another batch comes. */
export type TestedBackend = 'memory' | 'cold' | 'resting';

const restingBackend: StateBackend = { ...memoryBackend, objectsMin: 0 };

/** Rows of the last checkpoints put together: what a restore reads. */
export class CheckpointImage {
  readonly #rows = new Map<string, RestoredRow>();
  readonly #mayRepeat: boolean;

  /** @param options.mayRepeat beside a database: a checkpoint may have spilled rows of an address before the one that counts */
  constructor(options: { readonly mayRepeat?: boolean } = {}) {
    this.#mayRepeat = options.mayRepeat ?? false;
  }

  /** Applies the rows of one more checkpoint. @throws when it has two rows of one address and must not */
  apply(rows: readonly RestoredRow[]): void {
    const seen = new Set<string>();
    for (const row of rows) {
      const id = addressOf(row);
      if (seen.has(id) && !this.#mayRepeat)
        throw new Error(`a checkpoint has two rows of one address in state '${row.stateName}'`);
      seen.add(id);
      if (row.value === null) this.#rows.delete(id);
      else this.#rows.set(id, row);
    }
  }

  get rows(): RestoredRow[] {
    return [...this.#rows.values()];
  }
}

/** Encodes one frozen set in as many slices as a test wants. */
export class SnapshotReader {
  readonly #task: SnapshotTask | null;
  readonly #blocks: RowBlock[] = [];
  readonly #writer = new RowBlockWriter((block) => this.#blocks.push(block), 4096);
  #done: boolean;

  constructor(task: SnapshotTask | null) {
    this.#task = task;
    this.#done = task === null;
  }

  /** One slice without time: the least the task does. True when all is written. */
  slice(): boolean {
    if (!this.#done) this.#done = this.#task?.encode(this.#writer, 0) ?? true;
    return this.#done;
  }

  /** All rows. */
  finish(): RestoredRow[] {
    while (!this.#done) this.#done = this.#task?.encode(this.#writer, Number.POSITIVE_INFINITY) ?? true;
    this.#writer.flush();
    return this.#blocks.flatMap(rowsOf);
  }
}

export class OperatorHarness<Kind extends OperatorKind> {
  readonly operator: Operator;
  readonly outputs: OutputRecord[] = [];
  readonly metrics: OperatorMetrics = { recordsIn: 0, recordsOut: 0, lateRecords: 0, counters: new Map() };
  readonly backend: StateBackend;
  /** Records the main output takes before `hasRoom` is false. */
  room = Number.POSITIVE_INFINITY;
  nowMs: number;
  /** Earliest processing time asked for and not reached. */
  wakeAtMs = Number.POSITIVE_INFINITY;
  /** What `context.fail` was called with first. */
  failure: { error: unknown } | null = null;
  readonly keyGroups: KeyGroupRange;
  readonly #maxParallelism: number;
  readonly #scope = new RecordScope();
  readonly #sides = new Map<string, OutputRecord[]>();
  #woken = false;
  #onWake: (() => void) | null = null;

  private constructor(options: HarnessOptions<Kind>) {
    const maxParallelism = options.maxParallelism ?? 128;
    this.#maxParallelism = maxParallelism;
    const parallelism = options.parallelism ?? 1;
    const subtaskIndex = options.subtaskIndex ?? 0;
    this.backend = backendOf(options.backend ?? 'memory');
    this.nowMs = options.nowMs ?? 0;
    this.keyGroups = keyGroupRange(maxParallelism, parallelism, subtaskIndex);
    const id = options.operatorId ?? 'operator-under-test';
    this.operator = options.create({
      jobName: 'harness',
      node: {
        id,
        kind: options.functions.kind,
        name: id,
        idExplicit: true,
        config: options.config ?? {},
        ...(options.tuning === undefined ? {} : { tuning: options.tuning }),
        stateful: true,
        upstreamIndex: -1,
        upstreamTag: null,
      },
      functions: options.functions,
      subtaskIndex,
      parallelism,
      attempt: 1,
      restoredCheckpointId: options.restore === undefined ? null : 1,
      maxParallelism,
      keyGroups: this.keyGroups,
      workingDirectory: '.',
      scope: this.#scope,
      output: this.#collector(this.outputs, true),
      sideOutput: (tag) => this.#collector(this.side(tag), false),
      backend: this.backend,
      metrics: this.metrics,
      signal: options.signal ?? new AbortController().signal,
      nowMs: () => this.nowMs,
      hasRoom: () => this.room > 0 && this.failure === null,
      blockOutput: () => {
        this.room = 0;
      },
      overran: () => this.failure === null,
      wake: () => this.#wake(),
      wakeAt: (timestampMs) => {
        if (timestampMs < this.wakeAtMs) this.wakeAtMs = timestampMs;
      },
      fail: (error) => {
        this.failure ??= { error };
        this.#wake();
      },
      log: () => undefined,
      secretOf: noSecrets,
      deliver: () => undefined,
    });
  }

  /** Creates, restores and opens the operator. */
  static async open<Kind extends OperatorKind>(options: HarnessOptions<Kind>): Promise<OperatorHarness<Kind>> {
    const harness = new OperatorHarness(options);
    for (const row of options.restore ?? []) {
      const { first, last } = harness.keyGroups;
      if (row.keyGroup === reservedKeyGroup || (row.keyGroup >= first && row.keyGroup <= last))
        harness.operator.restore(row);
    }
    await harness.operator.open();
    return harness;
  }

  side(tag: string): OutputRecord[] {
    let side = this.#sides.get(tag);
    if (side === undefined) {
      side = [];
      this.#sides.set(tag, side);
    }
    return side;
  }

  get values(): unknown[] {
    return this.outputs.map((output) => output.value);
  }

  /** True when records of the key are routed to this subtask. */
  owns(key: Key): boolean {
    const keyGroup = keyGroupOf(key, this.#maxParallelism);
    return keyGroup >= this.keyGroups.first && keyGroup <= this.keyGroups.last;
  }

  counter(name: string): number {
    return this.metrics.counters.get(name) ?? 0;
  }

  /** One batch of records. @throws what the operator failed with */
  async process(...records: readonly InputRecord[]): Promise<void> {
    await this.#processBatch(batchOf(records), 0);
  }

  /** One batch of records of input 1. @throws what the operator failed with */
  async processSecond(...records: readonly InputRecord[]): Promise<void> {
    await this.#processBatch(batchOf(records), 1);
  }

  /** True when all due was fired, false when room ran out before. @throws what the operator failed with */
  async watermark(watermark: number): Promise<boolean> {
    return this.#advance(() => this.operator.advanceWatermark(watermark));
  }

  /** Processing time reaches `nowMs`; as `watermark`. */
  async processingTime(nowMs: number): Promise<boolean> {
    this.nowMs = nowMs;
    if (this.wakeAtMs > nowMs) return true;
    const due = this.wakeAtMs;
    this.wakeAtMs = Number.POSITIVE_INFINITY;
    const done = await this.#advance(() => this.operator.advanceProcessingTime?.(nowMs) ?? true);
    if (!done) this.wakeAtMs = due;
    return done;
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.operator.freeze(checkpointId);
  }

  /** The rows of a frozen set. */
  encode(task: SnapshotTask | null): RestoredRow[] {
    return new SnapshotReader(task).finish();
  }

  /** Freezes, encodes and completes a checkpoint. */
  checkpoint(checkpointId: number): RestoredRow[] {
    const rows = this.encode(this.freeze(checkpointId));
    this.operator.checkpointCompleted(checkpointId);
    return rows;
  }

  throwFailure(): void {
    if (this.failure !== null) throw this.failure.error;
  }

  async #processBatch(batch: Batch, input: number): Promise<void> {
    let next = 0;
    while (next < batch.length) {
      this.#woken = false;
      const prepared =
        this.operator.prepare === undefined ? batch.length - next : this.operator.prepare(batch, next, input);
      if (prepared === 0) await this.#whenWoken();
      this.throwFailure();
      for (const end = next + prepared; next < end; next++) {
        this.#scope.timestamp = batch.timestamps?.[next] ?? Number.NaN;
        this.#scope.splitWatermark = batch.splitWatermarks?.[next] ?? Number.NaN;
        this.#scope.rowKind = batch.rowKinds?.[next] ?? 0;
        if (input === 0) this.operator.emit(batch.values[next]);
        else this.operator.emitSecond?.(batch.values[next]);
        this.throwFailure();
      }
    }
  }

  async #advance(advance: () => boolean): Promise<boolean> {
    for (;;) {
      this.#woken = false;
      const done = advance();
      this.throwFailure();
      if (done) return true;
      if (this.room <= 0) return false;
      await this.#whenWoken();
      this.throwFailure();
    }
  }

  #wake(): void {
    this.#woken = true;
    const onWake = this.#onWake;
    this.#onWake = null;
    onWake?.();
  }

  #whenWoken(): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onWake = resolve;
    });
  }

  #collector(target: OutputRecord[], isMain: boolean): Collector {
    return {
      emit: (value) => {
        const { timestamp, splitWatermark, rowKind } = this.#scope;
        target.push({ value, timestamp, splitWatermark, ...(rowKind === 0 ? {} : { rowKind }) });
        if (isMain) this.room--;
      },
    };
  }
}

function backendOf(backend: TestedBackend | StateBackend): StateBackend {
  if (backend === 'resting') return restingBackend;
  if (backend === 'memory') return memoryBackend;
  return backend === 'cold' ? createColdTestBackend() : backend;
}

function batchOf(records: readonly InputRecord[]): Batch {
  const builder = new BatchBuilder(Math.max(records.length, 1));
  for (const { value, timestamp = Number.NaN, splitWatermark = Number.NaN, rowKind = 0 } of records)
    builder.add(value, timestamp, splitWatermark, rowKind);
  return builder.take();
}

function rowsOf(block: RowBlock): RestoredRow[] {
  const rows: RestoredRow[] = [];
  forEachRow(block.bytes, (keyGroup, key, value) =>
    rows.push({ stateName: block.stateName, keyGroup, key: key.slice(), value: value?.slice() ?? null }),
  );
  return rows;
}

function addressOf(row: RestoredRow): string {
  return `${row.stateName}\0${row.keyGroup}\0${Buffer.from(row.key).toString('latin1')}`;
}

/** The error an operation fails with, for tests that look at its code. @throws when it does not fail with one */
export async function engineErrorOf(operation: Promise<unknown>): Promise<EngineError> {
  try {
    await operation;
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('the operation was expected to fail');
}
