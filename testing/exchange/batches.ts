/** Batches for tests. */
import { type Batch, minWatermark } from '../../core/stream/batch.ts';

/** A batch of values and nothing else. */
export function batchOf(values: readonly unknown[]): Batch {
  return {
    values,
    length: values.length,
    timestamps: null,
    splitWatermarks: null,
    rowKinds: null,
    watermark: minWatermark,
  };
}
