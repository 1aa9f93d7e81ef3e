/**
 * Rows of the parts of one key's state: entries of a map, chunks of a list. A row is addressed by the record key and the
 * key of the part, so that a part is written without reading the others.
 */
import { type ByteSink, ByteWriter } from '../../core/codec/byte-sink.ts';
import { decodeKey, encodeKey } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { bytesOfText } from './key-index.ts';
import { describeKey } from './keyed-table.ts';
import type { ValueLayout } from './row-layout.ts';
import { rowFlag, RowTable, type RowWrite, type TableOwner } from './row-table.ts';
import { stateRowMaxBytes } from './value-limit.ts';

/** What rows of parts belong to: the live form of one key's state. */
export interface PartOwner {
  /** Slots of rows in the table by encoded part key: present, or remembered as deleted. */
  readonly slots: Map<string, number>;
}

/** Where a row belongs. */
export interface EntryPlace<Head extends PartOwner> {
  readonly head: Head;
  readonly key: Key;
  /** Encoded key of the part. */
  readonly text: string;
}

const scratch = new ByteWriter(256);

export class EntryTable<Head extends PartOwner> extends RowTable {
  slotCount = 0;
  protected override readonly rowValueMaxBytes: number;
  readonly #layout: ValueLayout;
  readonly #partName: string;
  readonly #places: (EntryPlace<Head> | undefined)[] = [];
  readonly #values: unknown[] = [];
  readonly #free: number[] = [];
  #evictionHand = 0;

  /**
   * @param partName what a part's key is called in errors
   * @param rowValueMaxBytes most bytes of one part
   */
  constructor(
    owner: TableOwner,
    stateName: string,
    layout: ValueLayout,
    partName: string,
    rowValueMaxBytes: number = stateRowMaxBytes,
  ) {
    super(owner, stateName);
    this.rowValueMaxBytes = rowValueMaxBytes;
    this.#layout = layout;
    this.#partName = partName;
  }

  valueAt(slot: number): unknown {
    return this.#values[slot];
  }

  placeAt(slot: number): EntryPlace<Head> {
    return this.#places[slot] as EntryPlace<Head>;
  }

  put(place: EntryPlace<Head>, keyGroup: number, value: unknown): void {
    const known = place.head.slots.get(place.text);
    const slot = known ?? this.#insert(place);
    this.putRow(slot, keyGroup);
    this.#values[slot] = value;
  }

  /** To be called before the kept object of a slot is changed in place. */
  beforeChange(slot: number): void {
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
  }

  /** A row as the checkpoint (`adopted`) or the database has it; undefined: it has none. */
  load(place: EntryPlace<Head>, keyGroup: number, bytes: Uint8Array | undefined, adopted: boolean): number {
    const slot = this.#insert(place);
    if (adopted) this.adoptRow(slot, keyGroup);
    else this.cacheRow(slot, keyGroup, bytes !== undefined);
    if (bytes !== undefined && bytes.length > 0) this.#values[slot] = this.decode(bytes);
    return slot;
  }

  /** The value in stored bytes. */
  decode(bytes: Uint8Array): unknown {
    return this.#layout.decode(bytes, this.stateName);
  }

  rowKey(place: EntryPlace<Head>): Uint8Array {
    scratch.reset();
    this.#encode(place, scratch);
    return scratch.take();
  }

  evictSome(count: number, writes: RowWrite[]): number {
    let evicted = 0;
    for (let step = 0; step < this.slotCount && evicted < count; step++) {
      this.#evictionHand = this.#evictionHand + 1 >= this.slotCount ? 0 : this.#evictionHand + 1;
      if (((this.flags[this.#evictionHand] as number) & rowFlag.used) === 0) continue;
      this.evictRow(this.#evictionHand, writes);
      evicted++;
    }
    return evicted;
  }

  protected override encodeRowKey(slot: number, sink: ByteSink): void {
    this.#encode(this.placeAt(slot), sink);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    this.#layout.encode(this.#values[slot], sink);
  }

  protected override dropValue(slot: number): void {
    this.#values[slot] = undefined;
  }

  protected override dropKey(slot: number): void {
    const place = this.placeAt(slot);
    place.head.slots.delete(place.text);
    this.#places[slot] = undefined;
    this.#free.push(slot);
  }

  protected override describeKey(slot: number): string {
    const place = this.placeAt(slot);
    return `${describeKey(place.key)}, ${this.#partName} ${describeKey(decodeKey(bytesOfText(place.text)).key)}`;
  }

  #insert(place: EntryPlace<Head>): number {
    const slot = this.#free.pop() ?? this.slotCount++;
    while (slot >= this.capacity) this.growRows();
    while (this.#places.length <= slot) {
      this.#places.push(undefined);
      this.#values.push(undefined);
    }
    this.#places[slot] = place;
    place.head.slots.set(place.text, slot);
    return slot;
  }

  #encode(place: EntryPlace<Head>, sink: ByteSink): void {
    encodeKey(place.key, sink);
    const { text } = place;
    sink.ensure(text.length);
    for (let index = 0; index < text.length; index++) sink.buffer[sink.position++] = text.charCodeAt(index);
  }
}

/** Stands for a stored value nobody has read; only for a row that is put or deleted at once. */
export const unreadEntry = new Uint8Array(0);
