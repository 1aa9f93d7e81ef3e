/** A split that a source reader reads: where it is, its time, and its row in a checkpoint. */
import type { SourceBatch, SplitCursor } from '../../core/connector/index.ts';
import type { PlainData } from '../../core/plain-data.ts';
import { SplitTime } from '../time/split-time.ts';

/** A split in a checkpoint. */
export interface SplitRow {
  readonly index: number;
  readonly split: unknown;
  readonly position: unknown;
  readonly started: boolean;
  readonly ended: boolean;
  readonly records: number;
  readonly maxTimestampMs: number;
  readonly watermarkMs: number;
  /** State of a custom watermark generator; absent with every other strategy. */
  readonly generator?: PlainData;
}

export class ReadingSplit {
  readonly index: number;
  readonly split: unknown;
  readonly time = new SplitTime();
  cursor: SplitCursor<unknown> | null = null;
  /** Where to open; the position of the last snapshot while the cursor is open. */
  position: unknown = undefined;
  started = false;
  opening = false;
  ended = false;
  /** Waits for `cursor.ready()`. */
  pending = false;
  batch: SourceBatch<unknown> | null = null;
  /** Next record of `batch`. */
  next = 0;
  /** Records handed on since the beginning of the split, over all attempts. */
  records = 0;
  changed = true;
  /** When it was last known not to be idle: it was opened, or records of it were handed on. */
  lastRecordAtMs = 0;
  /** Its watermark before its first record. */
  readonly floorMs: number;

  constructor(index: number, split: unknown, floorMs: number) {
    this.index = index;
    this.split = split;
    this.floorMs = floorMs;
  }

  get watermarkMs(): number {
    return Math.max(this.time.watermarkMs, this.floorMs);
  }
  /** As it is now, to be kept; takes the position of what was handed on. @param generator state of a custom generator */
  toRow(generator: PlainData | undefined): SplitRow {
    if (this.cursor !== null && this.batch !== null) this.position = this.cursor.position(this.next);
    const { index, split, position, started, ended, records } = this;
    const { maxTimestampMs, watermarkMs } = this.time;
    const row = { index, split, position, started, ended, records, maxTimestampMs, watermarkMs };
    return generator === undefined ? row : { ...row, generator };
  }
}

/** The split of a row, as it was. */
export function splitOfRow(row: SplitRow, floorMs: number): ReadingSplit {
  const split = new ReadingSplit(row.index, row.split, floorMs);
  split.position = row.position;
  split.started = row.started;
  split.ended = row.ended;
  split.records = row.records;
  split.time.maxTimestampMs = row.maxTimestampMs;
  split.time.watermarkMs = row.watermarkMs;
  split.time.restored = row.generator;
  split.changed = false;
  return split;
}
