/**
 * Event time of one split: the largest timestamp seen and the watermark that follows. A pure function of the split's earlier
 * records, so a replay judges every record's lateness as the first run did (design §3).
 */
import type { PlainData } from '../../core/plain-data.ts';
import { minWatermark } from '../../core/stream/batch.ts';
import type { AlignmentSettings, WatermarkGenerator } from '../../core/watermarks.ts';
import { SlotAlignment } from './slot-alignment.ts';

export class SplitTime {
  maxTimestampMs = Number.NEGATIVE_INFINITY;
  watermarkMs = minWatermark;
  /** Of a custom strategy; made with the first record of an attempt. */
  generator: WatermarkGenerator<unknown> | null = null;
  /** State for the generator that is not made yet; undefined when there is none. */
  restored: PlainData | undefined = undefined;

  /** Bounded out-of-orderness. Notes a record's timestamp, after its lateness was judged against `watermarkMs`. */
  observe(timestampMs: number, outOfOrdernessMs: number): void {
    if (timestampMs <= this.maxTimestampMs) return;
    this.maxTimestampMs = timestampMs;
    this.watermarkMs = timestampMs - outOfOrdernessMs - 1;
  }

  /** State of the generator for a checkpoint; undefined when the strategy has none. */
  generatorState(): PlainData | undefined {
    return this.generator === null ? this.restored : this.generator.snapshot();
  }
}

/** Shared by a source reader and the timestamp operator of its chain. */
export class SourceTime {
  /** The split whose records are being handed on. */
  current: SplitTime = new SplitTime();
  /** What the source itself says of the record being handed on; NaN where it says nothing. */
  sourceTimestampMs = Number.NaN;
  /** True when the chain assigns timestamps, so that splits have watermarks at all. */
  assigned = false;
  /** A split without records for this long does not hold back the watermark; null: never idle. */
  idleTimeoutMs: number | null = null;
  /** Whom the splits wait for; null: for nobody. */
  alignment: AlignmentSettings | null = null;
  /** Alignment groups of the slot. */
  readonly slot: SlotAlignment;

  constructor(slot: SlotAlignment = new SlotAlignment()) {
    this.slot = slot;
  }
}
