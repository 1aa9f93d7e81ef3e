/**
 * Counters of a chain as rows of the checkpoint, so that totals cover the whole job and not only the last attempt. A row
 * an operator and subtask; after a change of parallelism the counters of subtasks that are gone go to the subtask with
 * their index modulo the new parallelism.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import type { OperatorMetrics, RestoredRow, SnapshotTask } from '../operators/operator.ts';
import { ReservedRows } from '../state/reserved-rows.ts';

/** Name of the table; user states cannot be called so. */
export const metricsStateName = '#metrics';

interface MetricsRow {
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly lateRecords: number;
  readonly counters: Readonly<Record<string, number>>;
}

export class MetricsRows {
  readonly #metrics: OperatorMetrics;
  readonly #rows: ReservedRows;
  readonly #subtaskIndex: number;
  readonly #parallelism: number;
  readonly #restored = new Map<number, MetricsRow>();
  #lastSaved = '';

  constructor(metrics: OperatorMetrics, place: { operatorId: string; subtaskIndex: number; parallelism: number }) {
    this.#metrics = metrics;
    this.#rows = new ReservedRows(place.operatorId);
    this.#subtaskIndex = place.subtaskIndex;
    this.#parallelism = place.parallelism;
  }

  restore(row: RestoredRow): void {
    const subtask = decodeKey(row.key).key as number;
    if (subtask % this.#parallelism !== this.#subtaskIndex) return;
    if (row.value === null) this.#restored.delete(subtask);
    else this.#restored.set(subtask, decodeValue(row.value) as MetricsRow);
  }

  /** After all rows: the counters go on from there. */
  open(): void {
    const metrics = this.#metrics;
    for (const [subtask, row] of this.#restored) {
      metrics.recordsIn += row.recordsIn;
      metrics.recordsOut += row.recordsOut;
      metrics.lateRecords += row.lateRecords;
      for (const [name, value] of Object.entries(row.counters))
        metrics.counters.set(name, (metrics.counters.get(name) ?? 0) + value);
      if (subtask !== this.#subtaskIndex) this.#rows.delete(metricsStateName, subtask);
    }
    this.#restored.clear();
  }

  freeze(checkpointId: number): SnapshotTask | null {
    const { recordsIn, recordsOut, lateRecords } = this.#metrics;
    const row: MetricsRow = {
      recordsIn,
      recordsOut,
      lateRecords,
      counters: Object.fromEntries(this.#metrics.counters),
    };
    const text = JSON.stringify(row);
    if (text !== this.#lastSaved) this.#rows.put(metricsStateName, this.#subtaskIndex, row);
    this.#lastSaved = text;
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }
}
