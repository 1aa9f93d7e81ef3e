/**
 * Where changed rows go that leave the cache beside a database: out of the slot at once, in blocks, until a checkpoint
 * that has them is complete. Without it they would have to wait in the slot's heap, however many they are.
 */
import { assert } from '../../core/errors.ts';
import { type RowBlock, RowBlockWriter } from '../checkpoint/row-block.ts';

/** Spilled rows of one owner that belong to a checkpoint: those of the epochs after `from`, up to `to`. */
export interface SpillShare {
  readonly owner: number;
  readonly checkpointId: number;
  readonly from: number;
  readonly to: number;
  /** How many they are, for what is said of the checkpoint. */
  readonly rows: number;
  readonly bytes: number;
}

export interface RowSpill {
  /** False while so many bytes are under way that nothing should be evicted before {@link whenRoom}. */
  readonly hasRoom: boolean;
  /** Calls back, once, when there is room again. */
  whenRoom(callback: () => void): void;
  /** A number for the rows of one operator of one subtask. */
  newOwner(): number;
  /** Keeps a block of rows that were evicted in `epoch`; its buffer is given away. */
  put(owner: number, epoch: number, block: RowBlock): void;
  /** Makes rows part of a checkpoint, in the order in which they were put and before all that is written to `writer` from now on. */
  include(share: SpillShare, writer: RowBlockWriter): void;
  /** Rows of epochs up to this one are in a complete checkpoint. */
  drop(owner: number, epoch: number): void;
}

/** Blocks of the spill: small, since each state of an operator fills one. */
const spillBlockBytes = 64 * 1024;

interface EpochTotal {
  readonly epoch: number;
  rows: number;
  bytes: number;
}

/**
 * The spilled rows of one operator. On the heap there is at most a block per state, and two numbers per epoch.
 *
 * Architecture invariant: a block holds rows of one epoch, so the rows a frozen set needs are whole blocks. A row is put
 * under the epoch in which it is *evicted*: no later than the barrier of every set that must contain it this way, for the
 * sets that were frozen before take the row themselves (`preserve`).
 */
export class SpilledRows {
  readonly #operatorId: string;
  readonly #spill: RowSpill | null;
  readonly #owner: number;
  readonly #writers = new Map<string, RowBlockWriter>();
  /** Epochs with rows that are in no complete checkpoint, oldest first. */
  #totals: EpochTotal[] = [];

  constructor(operatorId: string, spill: RowSpill | null) {
    this.#operatorId = operatorId;
    this.#spill = spill;
    this.#owner = spill?.newOwner() ?? 0;
  }

  /** Keeps a row as it is now; `value` null is a tombstone. The bytes are copied. */
  put(epoch: number, stateName: string, keyGroup: number, key: Uint8Array, value: Uint8Array | null): void {
    let total = this.#totals.at(-1);
    if (total?.epoch !== epoch) {
      total = { epoch, rows: 0, bytes: 0 };
      this.#totals.push(total);
    }
    const writer = this.#writer(stateName, epoch);
    const bytesBefore = writer.bytesWritten;
    writer.writeRow(keyGroup, key, value);
    total.rows++;
    total.bytes += writer.bytesWritten - bytesBefore;
  }

  /** The epoch ends: what follows is in other blocks. */
  closeEpoch(): void {
    for (const writer of this.#writers.values()) writer.flush();
    this.#writers.clear();
  }

  /** True when rows were spilled after `epoch`. */
  hasAfter(epoch: number): boolean {
    return (this.#totals.at(-1)?.epoch ?? 0) > epoch;
  }

  /** Makes the rows of the epochs after `from`, up to `to`, part of the checkpoint that `writer` writes. */
  include(checkpointId: number, from: number, to: number, writer: RowBlockWriter): void {
    const totals = this.#totals.filter(({ epoch }) => epoch > from && epoch <= to);
    if (totals.length === 0) return;
    const rows = totals.reduce((sum, total) => sum + total.rows, 0);
    const bytes = totals.reduce((sum, total) => sum + total.bytes, 0);
    this.#target().include({ owner: this.#owner, checkpointId, from, to, rows, bytes }, writer);
  }

  /** Rows of epochs up to this one are in a complete checkpoint. */
  drop(epoch: number): void {
    if (this.#totals.length === 0 || (this.#totals[0] as EpochTotal).epoch > epoch) return;
    this.#totals = this.#totals.filter((total) => total.epoch > epoch);
    this.#target().drop(this.#owner, epoch);
  }

  #writer(stateName: string, epoch: number): RowBlockWriter {
    let writer = this.#writers.get(stateName);
    if (writer === undefined) {
      const spill = this.#target();
      writer = new RowBlockWriter((block) => spill.put(this.#owner, epoch, block), spillBlockBytes);
      writer.startTable(this.#operatorId, stateName);
      this.#writers.set(stateName, writer);
    }
    return writer;
  }

  #target(): RowSpill {
    assert(this.#spill !== null, `rows of operator '${this.#operatorId}' are evicted, so its backend has a spill`);
    return this.#spill;
  }
}
