/**
 * The simplest exchange codec that is right: one stored value a batch. What the tests of the data plane and the comparison
 * in its benchmark use where the columnar codec is not the subject.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import type { Batch } from '../../core/stream/batch.ts';

export class PlainEncoder {
  encode(batch: Batch, sink: ByteSink): void {
    encodeValue([batch.values, batch.timestamps, batch.splitWatermarks, batch.rowKinds, batch.watermark], sink);
  }
}

export class PlainDecoder {
  decode(bytes: Uint8Array): Batch {
    const fields = decodeValue(bytes) as [unknown[], Float64Array | null, Float64Array | null, Uint8Array | null, number];
    const [values, timestamps, splitWatermarks, rowKinds, watermark] = fields;
    return { values, length: values.length, timestamps, splitWatermarks, rowKinds, watermark };
  }
}

/** Makes encoders and decoders of the plain codec, as the data plane wants them. */
export const plainCodec = { encoder: () => new PlainEncoder(), decoder: () => new PlainDecoder() };

/** A batch of values and nothing else. */
export function batchOf(values: readonly unknown[]): Batch {
  return { values, length: values.length, timestamps: null, splitWatermarks: null, rowKinds: null, watermark: Number.NEGATIVE_INFINITY };
}
