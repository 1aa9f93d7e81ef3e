/**
 * Records in flight as rows of a checkpoint: their inputs, not their answers, so that they are sent again after a restore.
 * They belong to the subtask, not to a key. At the parallelism they were saved with, each goes back to its own subtask in its
 * old order; at another one they are dealt out in turn, and the subtask that takes one over writes it anew under its own
 * address and deletes the old one, in one checkpoint.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import { ReservedRows } from '../state/reserved-rows.ts';
import { AsyncCall } from './async-call.ts';
import type { OperatorContext, RestoredRow, SnapshotTask } from './operator.ts';

const stateName = 'in-flight';

interface SavedCall {
  readonly value: unknown;
  readonly timestamp: number;
  readonly splitWatermark: number;
  readonly rowKind: number;
  readonly parallelism: number;
}

interface RestoredCall {
  readonly subtaskIndex: number;
  readonly sequence: number;
  readonly saved: SavedCall;
}

export class AsyncRows {
  readonly #subtaskIndex: number;
  readonly #parallelism: number;
  readonly #rows: ReservedRows;
  readonly #restored = new Map<string, RestoredCall>();
  #sequence = 0;

  constructor(context: OperatorContext<'async-map'>) {
    this.#subtaskIndex = context.subtaskIndex;
    this.#parallelism = context.parallelism;
    this.#rows = new ReservedRows(context.node.id);
  }

  /** The sequence number of the next record. */
  next(): number {
    return this.#sequence++;
  }

  restore(row: RestoredRow): void {
    const [subtaskIndex, sequence] = decodeKey(row.key).key as unknown as [number, number];
    const id = `${subtaskIndex}/${sequence}`;
    if (row.value === null) this.#restored.delete(id);
    else this.#restored.set(id, { subtaskIndex, sequence, saved: decodeValue(row.value) as SavedCall });
  }

  /** The restored records of this subtask, in the order in which they are to be sent again. */
  takeRestored(): AsyncCall[] {
    const all = [...this.#restored.values()].sort(
      (left, right) => left.subtaskIndex - right.subtaskIndex || left.sequence - right.sequence,
    );
    this.#restored.clear();
    // Above every address there is: a new row must never meet the tombstone of an old one.
    for (const { subtaskIndex, sequence } of all)
      if (subtaskIndex === this.#subtaskIndex) this.#sequence = Math.max(this.#sequence, sequence + 1);
    const stays = (call: RestoredCall): boolean => call.saved.parallelism === this.#parallelism;
    const own = all.filter((call) => stays(call) && call.subtaskIndex === this.#subtaskIndex);
    const dealt = all.filter((call) => !stays(call));
    const taken = dealt.filter((_, place) => place % this.#parallelism === this.#subtaskIndex);
    return [
      ...own.map(({ saved, sequence }) => new AsyncCall(saved.value, sequence, saved, true)),
      ...taken.map((call) => this.#takeOver(call)),
    ];
  }

  #takeOver({ subtaskIndex, sequence, saved }: RestoredCall): AsyncCall {
    this.#rows.delete(stateName, [subtaskIndex, sequence]);
    return new AsyncCall(saved.value, this.next(), saved);
  }

  /** The record has been handed on: it needs no row any more. */
  done(call: AsyncCall): void {
    if (call.stored) this.#rows.delete(stateName, [this.#subtaskIndex, call.sequence]);
  }

  /** Fixes what is in flight now. Encoded later: nobody changes a record. */
  freeze(checkpointId: number, calls: Iterable<AsyncCall>): SnapshotTask | null {
    for (const call of calls) {
      if (call.stored) continue;
      call.stored = true;
      const { value, timestamp, splitWatermark, rowKind } = call;
      const saved: SavedCall = { value, timestamp, splitWatermark, rowKind, parallelism: this.#parallelism };
      this.#rows.putLater(stateName, [this.#subtaskIndex, call.sequence], saved);
    }
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }
}
