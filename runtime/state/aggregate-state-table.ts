/**
 * Rows of `aggregatingState`: accumulators in columns as those of aggregate operators, behind a version of their own and,
 * with a time to live, the time of the last access.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import type { Key } from '../../core/operators.ts';
import type { AggregateLayout } from './aggregate-layout.ts';
import { ColumnTable } from './column-table.ts';
import { readTime, rowVersion, unknownRowVersion, writeTime } from './row-layout.ts';
import type { TableOwner } from './row-table.ts';

export class AggregateStateTable extends ColumnTable {
  /** Times of the last access by slot; null without a time to live. */
  #times: Float64Array | null;

  constructor(owner: TableOwner, stateName: string, layout: AggregateLayout, timed: boolean) {
    super(owner, stateName, layout);
    this.#times = timed ? new Float64Array(this.capacity) : null;
  }

  /** Time of the last access; NaN where it is not known. */
  timeAt(slot: number): number {
    return this.#times === null ? Number.NaN : (this.#times[slot] as number);
  }

  setTime(slot: number, at: number): void {
    if (this.#times === null) return;
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    this.#times[slot] = at;
  }

  /** The result of the row of a slot. */
  valueAt(slot: number, key: Key): unknown {
    return this.resultOf(slot, key)['value'];
  }

  protected override growRows(): void {
    super.growRows();
    if (this.#times === null) return;
    const times = new Float64Array(this.capacity);
    times.set(this.#times);
    this.#times = times;
  }

  protected override createValue(slot: number): void {
    super.createValue(slot);
    if (this.#times !== null) this.#times[slot] = Number.NaN;
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    if (this.#times === null) {
      sink.ensure(1);
      sink.buffer[sink.position++] = rowVersion.aggregate;
    } else writeTime(rowVersion.timedAggregate, this.#times[slot] as number, sink);
    super.encodeRowValue(slot, sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    const hasTime = bytes[0] === rowVersion.timedAggregate;
    if (!hasTime && bytes[0] !== rowVersion.aggregate) throw unknownRowVersion(bytes, this.stateName);
    super.decodeRowValue(slot, bytes.subarray(hasTime ? 9 : 1));
    if (this.#times !== null) this.#times[slot] = hasTime ? readTime(bytes) : Number.NaN;
  }
}
