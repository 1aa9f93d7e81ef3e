/**
 * Sink writer: buffers records in the connector's writer. At a barrier the writer makes them durable but invisible; what
 * it then hands over travels to the committer before the barrier. A write error is sticky in the connector and fails the
 * next `prepareCommit` or `drained`, so a checkpoint never covers records that were not written (FLINK-35749).
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import type { Committable, PreparedCommit, SinkWriter } from '../../core/connector/index.ts';
import { approximateRecordBytes } from '../exchange/record-size.ts';
import { ReservedRows } from '../state/reserved-rows.ts';
import { connectorContext } from './connector-context.ts';
import type { Operator, OperatorContext, RecordScope, RestoredRow, SnapshotTask } from './operator.ts';

const stateName = 'writer';

export class SinkWriterOperator implements Operator {
  readonly #context: OperatorContext<'sink-writer'>;
  readonly #writer: SinkWriter<unknown>;
  readonly #scope: RecordScope;
  readonly #rows: ReservedRows;
  readonly #restored = new Map<string, { key: [number, number]; value: unknown }>();
  /** State rows this subtask wrote last, by place. */
  #stateRowCount = 0;
  #lastCheckpointId = 0;
  #inputEnded = false;
  #draining = false;
  #failed = false;

  constructor(context: OperatorContext<'sink-writer'>) {
    this.#context = context;
    this.#lastCheckpointId = context.restoredCheckpointId ?? 0;
    this.#writer = (context.functions.sink as { createWriter(context: unknown): SinkWriter<unknown> }).createWriter(
      connectorContext(context),
    );
    this.#scope = context.scope;
    this.#rows = new ReservedRows(context.node.id);
  }

  get hasRoom(): boolean {
    return this.#writer.hasRoom;
  }

  emit(value: unknown): void {
    if (this.#failed) return;
    if (this.#draining && !this.#context.overran(approximateRecordBytes(value))) return;
    try {
      this.#writer.write(value, this.#scope.timestamp, this.#scope.rowKind);
    } catch (error) {
      this.#failed = true;
      this.#context.fail(error);
      return;
    }
    this.#context.metrics.recordsOut++;
    if (!this.#writer.hasRoom) this.#drain();
  }

  restore(row: RestoredRow): void {
    const key = decodeKey(row.key).key as [number, number];
    const id = key.join(':');
    if (row.value === null) this.#restored.delete(id);
    else this.#restored.set(id, { key, value: decodeValue(row.value) });
  }

  /** Every writer sees all restored states; rows of subtasks are replaced by the first snapshot of this attempt. */
  async open(): Promise<void> {
    const { subtaskIndex, parallelism } = this.#context;
    for (const { key } of this.#restored.values()) {
      const [owner] = key;
      if (owner === subtaskIndex || (subtaskIndex === 0 && owner >= parallelism)) this.#rows.delete(stateName, key);
    }
    await this.#writer.open([...this.#restored.values()].map((row) => row.value));
    this.#restored.clear();
  }

  advanceWatermark(): boolean {
    return true;
  }

  async endInput(): Promise<void> {
    this.#accept(await this.#writer.prepareCommit(this.#lastCheckpointId + 1, true), this.#lastCheckpointId + 1);
    this.#inputEnded = true;
  }

  async prepareSnapshot(checkpointId: number): Promise<void> {
    this.#lastCheckpointId = checkpointId;
    if (this.#inputEnded) return;
    this.#accept(await this.#writer.prepareCommit(checkpointId, false), checkpointId);
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }

  checkpointAborted(): void {}

  close(): Promise<void> {
    return this.#writer.close();
  }

  #accept(prepared: PreparedCommit, checkpointId: number): void {
    const { subtaskIndex } = this.#context;
    this.#scope.timestamp = Number.NaN;
    this.#scope.splitWatermark = Number.NaN;
    this.#scope.rowKind = 0;
    for (const data of prepared.committables) {
      this.#context.output.emit({ checkpointId, subtaskIndex, data } satisfies Committable);
    }
    prepared.state.forEach((state, place) => this.#rows.put(stateName, [subtaskIndex, place], state));
    for (let place = prepared.state.length; place < this.#stateRowCount; place++) {
      this.#rows.delete(stateName, [subtaskIndex, place]);
    }
    this.#stateRowCount = prepared.state.length;
  }

  #drain(): void {
    this.#context.blockOutput();
    if (this.#draining) return;
    this.#draining = true;
    this.#writer.drained().then(
      () => {
        this.#draining = false;
        this.#context.wake();
      },
      (error: unknown) => this.#context.fail(error),
    );
  }
}
