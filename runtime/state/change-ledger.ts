/**
 * Which rows changed since when: the pure core of incremental checkpoints, one per keyed operator, shared by its tables.
 *
 * Time is cut into *epochs*; a freeze ends one in O(1). Each table notes per row the epoch of its last change (`touched`) and
 * the epoch it was last written for (`written`), and lists a row once per epoch in a segment. A frozen set is an interval
 * `(from, epoch]` of epochs and the segments in it. A row belongs to it while `touched` is in the interval and `written` is
 * before its end; such a row is written before it is changed (`preserve`), so the set keeps the contents of its barrier.
 *
 * Architecture invariant: a frozen set starts after the last checkpoint known to be *complete*. Rows of checkpoints that
 * are undecided or aborted are in every later set, whatever the order in which the news and the barrier arrive. A late
 * "completed" costs bytes, a late "aborted" costs nothing; neither loses a row.
 *
 * Beside a database a changed row may be evicted before its change is in a complete checkpoint. It is *spilled* then: kept
 * outside the slot under the epoch of its eviction (row-spill.ts). A set contains the spilled rows of its interval first and
 * its own rows after them, and the later of two rows of one address counts. So it ends with the row's value at the barrier:
 * a change after the eviction is in a later spilled row or in an own row; without one the spilled row is that value, for
 * sets frozen before the eviction have taken the row themselves. A row that the database does not have needs no tombstone
 * while it is no more than created and deleted: if anything was spilled of it, the last of that is a tombstone already.
 */
import { assert } from '../../core/errors.ts';
import type { SnapshotTask } from '../operators/operator.ts';
import { forEachRow, type RowBlock, RowBlockWriter } from '../checkpoint/row-block.ts';
import { type RowSpill, SpilledRows } from './row-spill.ts';

/** What the ledger needs of a table. */
export interface LedgerTable {
  readonly stateName: string;
  /** Epoch of the last change, by slot. */
  readonly touched: Uint32Array;
  /** Epoch of the last frozen set the row was written for, by slot. */
  readonly written: Uint32Array;
  /** Writes the row of a slot (or its tombstone); nothing when a checkpoint has nothing to say of it. */
  writeRow(slot: number, writer: RowBlockWriter): void;
  /** Frees the slots of the segment whose rows are deleted and were not changed after `completedEpoch`. */
  releaseDeleted(segment: Segment, completedEpoch: number): void;
}

/** Slots of one table that changed in one epoch, each once. */
export class Segment {
  readonly table: LedgerTable;
  readonly epoch: number;
  slots = new Int32Array(8);
  length = 0;

  constructor(table: LedgerTable, epoch: number) {
    this.table = table;
    this.epoch = epoch;
  }

  push(slot: number): void {
    if (this.length === this.slots.length) {
      const grown = new Int32Array(this.length * 2);
      grown.set(this.slots);
      this.slots = grown;
    }
    this.slots[this.length++] = slot;
  }
}

/** A table is swept when one in this many of its slots is listed. */
const sweepShare = 4;
/** Rows written between two looks at the clock. */
const rowsPerClockCheck = 32;
const earlyBlockBytes = 16 * 1024;

export class ChangeLedger {
  /** Epoch of changes made now; starts at 1, so that 0 is "never". */
  epoch = 1;
  /** Rows listed after this epoch are in a segment of the open interval already. */
  openFrom = 0;
  /** Sets not written to the end yet, oldest first. */
  readonly unfinished: FrozenSet[] = [];
  /** Rows evicted with a change. */
  readonly spilled: SpilledRows;
  readonly #operatorId: string;
  #completedEpoch = 0;
  #segments = new Set<Segment>();
  /** Checkpoints neither complete nor aborted, oldest first. */
  #undecided: FrozenSet[] = [];

  /** @param spill where changed rows go that are evicted; null beside a backend that evicts none */
  constructor(operatorId: string, spill: RowSpill | null = null) {
    this.#operatorId = operatorId;
    this.spilled = new SpilledRows(operatorId, spill);
  }

  /** Changes up to this epoch are in a complete checkpoint. */
  get completedEpoch(): number {
    return this.#completedEpoch;
  }

  /** A list for the changes a table makes in this epoch. */
  openSegment(table: LedgerTable): Segment {
    const segment = new Segment(table, this.epoch);
    this.#segments.add(segment);
    return segment;
  }

  /** None of the segment's rows needs to be in a checkpoint any more. */
  dropSegment(segment: Segment): void {
    this.#segments.delete(segment);
  }

  /** Writes a row for the sets that still need it; to be called before the row changes or is handed out. */
  preserve(table: LedgerTable, slot: number): void {
    for (const set of this.unfinished) set.preserve(table, slot);
  }

  /** Ends the epoch. Null when there is nothing to write. */
  freeze(checkpointId: number): SnapshotTask | null {
    const last = this.#undecided.at(-1);
    assert(
      last === undefined || last.checkpointId < checkpointId,
      `checkpoint ${checkpointId} follows ${last?.checkpointId}`,
    );
    const set = new FrozenSet(this, this.#operatorId, checkpointId, this.#completedEpoch, this.epoch, [
      ...this.#segments,
    ]);
    this.spilled.closeEpoch();
    this.epoch++;
    this.openFrom = set.epoch;
    this.#undecided.push(set);
    if (set.segments.length === 0 && !this.spilled.hasAfter(this.#completedEpoch)) return null;
    this.unfinished.push(set);
    return set;
  }

  /** The checkpoint is complete: its rows, and all before, are clean. */
  completed(checkpointId: number): void {
    const index = this.#undecided.findIndex((set) => set.checkpointId === checkpointId);
    if (index < 0) return;
    const epoch = (this.#undecided[index] as FrozenSet).epoch;
    this.#completedEpoch = epoch;
    if (this.openFrom < epoch) this.openFrom = epoch;
    for (const set of this.#undecided.splice(0, index + 1)) this.finish(set);
    for (const segment of this.#segments) {
      if (segment.epoch > epoch) continue;
      this.#segments.delete(segment);
      segment.table.releaseDeleted(segment, epoch);
    }
    this.spilled.drop(epoch);
  }

  /** The checkpoint will never complete: what it alone had is part of the next one. */
  aborted(checkpointId: number): void {
    const index = this.#undecided.findIndex((set) => set.checkpointId === checkpointId);
    if (index < 0) return;
    const [set] = this.#undecided.splice(index, 1) as [FrozenSet];
    this.finish(set);
    // A later undecided set contains the rows already; else they belong to the open interval from now on.
    if (index === this.#undecided.length) this.openFrom = this.#undecided.at(-1)?.epoch ?? this.#completedEpoch;
  }

  /** The set needs nothing more from the tables. */
  finish(set: FrozenSet): void {
    set.finished = true;
    const index = this.unfinished.indexOf(set);
    if (index >= 0) this.unfinished.splice(index, 1);
  }

  /** `written` of a row tells only the newest set it was written for, so older sets are brought to their end first. */
  finishOlderThan(set: FrozenSet): void {
    while (this.unfinished.length > 0 && this.unfinished[0] !== set) {
      const older = this.unfinished[0] as FrozenSet;
      older.collect();
      this.finish(older);
    }
  }
}

/** What one checkpoint contains of one operator. */
export class FrozenSet implements SnapshotTask {
  readonly checkpointId: number;
  /** Last epoch of the interval. */
  readonly epoch: number;
  readonly segments: readonly Segment[];
  finished = false;
  readonly #ledger: ChangeLedger;
  readonly #operatorId: string;
  readonly #from: number;
  #segmentIndex = 0;
  /** Where in the present segment to go on: a place in its list, or a slot while its table is swept. */
  #slotIndex = 0;
  /** Slots to sweep for the present segment; 0: its list is followed; null: not decided. */
  #sweepSlots: number | null = null;
  #spilledIncluded = false;
  /** Rows written before their turn, in blocks of the row layout. */
  readonly #early = new Map<string, RowBlockWriter>();
  readonly #earlyBlocks: RowBlock[] = [];

  constructor(
    ledger: ChangeLedger,
    operatorId: string,
    checkpointId: number,
    from: number,
    epoch: number,
    segments: readonly Segment[],
  ) {
    this.#ledger = ledger;
    this.#operatorId = operatorId;
    this.checkpointId = checkpointId;
    this.#from = from;
    this.epoch = epoch;
    this.segments = segments;
  }

  encode(writer: RowBlockWriter, deadlineMs: number): boolean {
    if (!this.finished) this.#ledger.finishOlderThan(this);
    this.#includeSpilled(writer);
    if (!this.#writeEarly(writer, deadlineMs)) return false;
    if (!this.finished) {
      if (!this.#writeSegments(writer, deadlineMs)) return false;
      this.#ledger.finish(this);
    }
    // Nobody adds early rows any more: what is left of them is handed on.
    for (const early of this.#early.values()) early.flush();
    this.#early.clear();
    return this.#writeEarly(writer, deadlineMs);
  }

  /** Moves all that is left into the set's own buffer. */
  collect(): void {
    // What a sweep has passed is written; its list is looked at from the beginning all the same.
    if (this.#sweepSlots !== 0) this.#slotIndex = 0;
    for (const segment of this.segments.slice(this.#segmentIndex)) {
      for (let index = this.#slotIndex; index < segment.length; index++)
        this.preserve(segment.table, segment.slots[index] as number);
      this.#slotIndex = 0;
    }
    this.#segmentIndex = this.segments.length;
  }

  /** Writes a row into the set's own buffer if the set needs it. */
  preserve(table: LedgerTable, slot: number): void {
    if (!this.#needs(table.touched[slot] as number, table.written[slot] as number)) return;
    table.written[slot] = this.epoch;
    table.writeRow(slot, this.#earlyWriter(table.stateName));
  }

  #needs(touched: number, written: number): boolean {
    return touched > this.#from && touched <= this.epoch && written < this.epoch;
  }

  #writeSegments(writer: RowBlockWriter, deadlineMs: number): boolean {
    while (this.#segmentIndex < this.segments.length) {
      const segment = this.segments[this.#segmentIndex] as Segment;
      writer.startTable(this.#operatorId, segment.table.stateName);
      if (!this.#writeSegment(segment, writer, deadlineMs)) return false;
      this.#segmentIndex++;
      this.#slotIndex = 0;
      this.#sweepSlots = null;
      // Many small segments must not outrun the deadline either.
      if (performance.now() >= deadlineMs && this.#segmentIndex < this.segments.length) return false;
    }
    return true;
  }

  /**
   * The rows of a segment in the order of change, or, where a good part of its table changed, in the order of slots: one
   * row after the other in memory, where the list jumps. Both write the same rows, since a row is asked whether it is needed.
   */
  #writeSegment(segment: Segment, writer: RowBlockWriter, deadlineMs: number): boolean {
    const { table, slots, length } = segment;
    const { touched, written } = table;
    this.#sweepSlots ??= length * sweepShare >= touched.length ? touched.length : 0;
    const sweeps = this.#sweepSlots > 0;
    const end = sweeps ? this.#sweepSlots : length;
    for (let index = this.#slotIndex; index < end; index++) {
      const slot = sweeps ? index : (slots[index] as number);
      if (this.#needs(touched[slot] as number, written[slot] as number)) {
        written[slot] = this.epoch;
        table.writeRow(slot, writer);
      }
      if ((index + 1) % rowsPerClockCheck === 0 && performance.now() >= deadlineMs) {
        this.#slotIndex = index + 1;
        return false;
      }
    }
    return true;
  }

  /** Before any row of its own: those are newer. */
  #includeSpilled(writer: RowBlockWriter): void {
    if (this.#spilledIncluded) return;
    this.#spilledIncluded = true;
    this.#ledger.spilled.include(this.checkpointId, this.#from, this.epoch, writer);
  }

  #earlyWriter(stateName: string): RowBlockWriter {
    let writer = this.#early.get(stateName);
    if (writer === undefined) {
      writer = new RowBlockWriter((block) => this.#earlyBlocks.push(block), earlyBlockBytes);
      writer.startTable(this.#operatorId, stateName);
      this.#early.set(stateName, writer);
    }
    return writer;
  }

  #writeEarly(writer: RowBlockWriter, deadlineMs: number): boolean {
    while (this.#earlyBlocks.length > 0) {
      const block = this.#earlyBlocks.shift() as RowBlock;
      writer.startTable(this.#operatorId, block.stateName);
      forEachRow(block.bytes, (keyGroup, key, value) => writer.writeRow(keyGroup, key, value));
      if (performance.now() >= deadlineMs)
        return this.#earlyBlocks.length === 0 && this.finished && this.#early.size === 0;
    }
    return true;
  }
}
