/**
 * Batches: what operators see. Values beside a `Float64Array` of timestamps, and optional columns that cost nothing when
 * absent (design: "batches, event by event semantics"). A batch is never changed after it was handed on, and never
 * recycled while referenced.
 *
 * Architecture invariant: at most one watermark per batch and it follows the last record. Delaying a watermark to the end
 * of a batch is always allowed (it is a lower bound); lateness does not depend on it, because each record carries the
 * watermark of its own split where that matters.
 */

/** Kind of a row of a changelog stream. */
export const rowKind = { insert: 0, updateBefore: 1, updateAfter: 2, delete: 3 } as const;
export type RowKind = (typeof rowKind)[keyof typeof rowKind];

/** Timestamp of a record that has none. `NaN`: never equal, never late, never on time. */
export const noTimestamp: number = Number.NaN;
/** Watermark before the first one: nothing is known. */
export const minWatermark: number = Number.NEGATIVE_INFINITY;
/** Watermark after the last record of a bounded input. */
export const maxWatermark: number = Number.POSITIVE_INFINITY;

/** Read-only by convention outside its builder. */
export interface Batch<T = unknown> {
  readonly values: readonly T[];
  /** Number of records; 0 for a batch that only carries a watermark. */
  readonly length: number;
  /** Event time in ms since the epoch, `NaN` where absent; null when no record of the batch has one. */
  readonly timestamps: Float64Array | null;
  /** Watermark of the record's own split, carried where `timestamp <= split watermark`, else `NaN`; null when all absent. */
  readonly splitWatermarks: Float64Array | null;
  /** Row kinds; null when all are inserts. */
  readonly rowKinds: Uint8Array | null;
  /** Watermark after the last record, or `-Infinity` when it did not move. */
  readonly watermark: number;
}

/** Splits a stream into checkpoints. Flows in order with the records. */
export interface Barrier {
  readonly checkpointId: number;
  /** When the job manager triggered it, ms since the epoch. */
  readonly triggeredAtMs: number;
}

/** Everything that travels on a channel, in order. */
export type StreamElement =
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'barrier'; readonly barrier: Barrier }
  /** The channel has no records for now and must not hold back the merged watermark (true), or has again (false). */
  | { readonly kind: 'idle'; readonly idle: boolean }
  /** Nothing follows. */
  | { readonly kind: 'end' };
