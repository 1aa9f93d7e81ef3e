/**
 * Event time of one split: the largest timestamp seen and the watermark it implies. A pure function of the split's earlier
 * records, so a replay judges every record's lateness as the first run did (design §3).
 */
import { minWatermark } from '../../core/stream/batch.ts';

export class SplitTime {
  maxTimestampMs = Number.NEGATIVE_INFINITY;
  /** Bounded out-of-orderness: `maxTimestamp - outOfOrderness - 1`. */
  watermarkMs = minWatermark;

  /** Notes a record's timestamp, after its lateness was judged against `watermarkMs`. */
  observe(timestampMs: number, outOfOrdernessMs: number): void {
    if (timestampMs <= this.maxTimestampMs) return;
    this.maxTimestampMs = timestampMs;
    this.watermarkMs = timestampMs - outOfOrdernessMs - 1;
  }
}

/** Shared by a source reader and the timestamp operator of its chain: the split whose records are being handed on. */
export class SourceTime {
  current: SplitTime = new SplitTime();
  /** True when the chain assigns timestamps, so that splits have watermarks at all. */
  assigned = false;
  /** A split without records for this long does not hold back the watermark; null: never idle. */
  idleTimeoutMs: number | null = null;
}
