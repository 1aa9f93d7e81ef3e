/**
 * The exchange codec: batches as frames of columns, one encoder and one decoder per channel. Stateful: shapes of objects are
 * announced once. Frames must be decoded in the order in which they were encoded, by one decoder that saw them all.
 * Layout in columnar-layout.ts.
 *
 * `decode(encode(batch))` gives the same batch, exactly, or `encode` refuses it naming the place of the value. Strings of a
 * decoded batch share memory with each other; what is kept longer than the batch is copied (core/codec/own.ts).
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { ValueReader } from '../../core/codec/value-decoder.ts';
import { refusalOf, valueNotEncodable } from '../../core/codec/value-refusal.ts';
import { writeVarint } from '../../core/codec/varint.ts';
import { type Batch, minWatermark } from '../../core/stream/batch.ts';
import { ColumnDecoder } from './column-decoder.ts';
import { ColumnEncoder } from './column-encoder.ts';
import { frameFlags, shapesMaxDefault } from './columnar-layout.ts';

export interface ColumnarOptions {
  /** Shapes of objects a channel learns, the same on both ends. Default 64. */
  readonly shapesMax?: number;
}

/** The sending end of one channel. */
export class BatchEncoder {
  readonly #columns: ColumnEncoder;

  constructor(options: ColumnarOptions = {}) {
    this.#columns = new ColumnEncoder(options.shapesMax ?? shapesMaxDefault);
  }

  /**
   * Writes one frame at the sink's position.
   * @throws EngineError VALUE_NOT_ENCODABLE naming the place within the record; then nothing is written, and the channel
   *   goes on as if the batch had never been
   */
  encode(batch: Batch, sink: ByteSink): void {
    const start = sink.position;
    writeHeader(batch, sink);
    if (batch.length === 0) return;
    const values = batch.values.length === batch.length ? batch.values : batch.values.slice(0, batch.length);
    let written = false;
    try {
      written = this.#columns.encode(values, sink);
    } finally {
      if (!written) sink.position = start;
    }
    if (!written) throw batchRefusal(values);
  }
}

/** The error of the record that was refused. */
function batchRefusal(values: readonly unknown[]): Error {
  for (const value of values) {
    const refusal = refusalOf(value);
    if (refusal !== undefined) return refusal;
  }
  return valueNotEncodable(values[0]);
}

function writeHeader(batch: Batch, sink: ByteSink): void {
  const { length, timestamps, splitWatermarks, rowKinds, watermark } = batch;
  const flags =
    (timestamps === null ? 0 : frameFlags.timestamps) |
    (splitWatermarks === null ? 0 : frameFlags.splitWatermarks) |
    (rowKinds === null ? 0 : frameFlags.rowKinds) |
    (watermark === minWatermark ? 0 : frameFlags.watermark);
  sink.ensure(length * 17 + 16);
  sink.buffer[sink.position++] = flags;
  writeVarint(sink, length);
  if (watermark !== minWatermark) {
    sink.view.setFloat64(sink.position, watermark, true);
    sink.position += 8;
  }
  if (timestamps !== null) writeColumn(sink, timestamps, length);
  if (splitWatermarks !== null) writeColumn(sink, splitWatermarks, length);
  if (rowKinds !== null) writeColumn(sink, rowKinds, length);
}

/** Columns of a builder have room for more records than there are. */
function writeColumn(sink: ByteSink, column: Float64Array | Uint8Array, length: number): void {
  const bytes = new Uint8Array(column.buffer, column.byteOffset, length * column.BYTES_PER_ELEMENT);
  sink.buffer.set(bytes, sink.position);
  sink.position += bytes.length;
}

/** The receiving end of one channel. */
export class BatchDecoder {
  readonly #columns: ColumnDecoder;
  readonly #reader = new ValueReader('PROTOCOL');

  constructor(options: ColumnarOptions = {}) {
    this.#columns = new ColumnDecoder(options.shapesMax ?? shapesMaxDefault);
  }

  /**
   * Reads one frame, which fills `bytes`. The bytes may be used again afterwards.
   * @throws EngineError PROTOCOL when they are not one frame; the channel cannot go on then
   */
  decode(bytes: Uint8Array): Batch {
    const reader = this.#reader.over(bytes, 0, bytes.length);
    const flags = reader.byte();
    const length = reader.varint();
    if (flags > 15 || length > bytes.length) throw reader.unreadable(`a frame of ${length} rows, flags ${flags}`);
    const watermark =
      (flags & frameFlags.watermark) === 0 ? minWatermark : (readFloat64s(bytes, reader, 1)[0] as number);
    const timestamps = (flags & frameFlags.timestamps) === 0 ? null : readFloat64s(bytes, reader, length);
    const splitWatermarks = (flags & frameFlags.splitWatermarks) === 0 ? null : readFloat64s(bytes, reader, length);
    const rowKinds = (flags & frameFlags.rowKinds) === 0 ? null : readRowKinds(bytes, reader, length);
    const values = length === 0 ? [] : this.#columns.decode(bytes, reader, length);
    if (reader.position !== bytes.length) throw reader.unreadable('bytes follow the frame');
    reader.release();
    return { values, length, timestamps, splitWatermarks, rowKinds, watermark };
  }
}

function readFloat64s(bytes: Uint8Array, reader: ValueReader, count: number): Float64Array {
  const start = reader.skip(count * 8);
  const column = new Float64Array(count);
  new Uint8Array(column.buffer).set(bytes.subarray(start, start + count * 8));
  return column;
}

function readRowKinds(bytes: Uint8Array, reader: ValueReader, count: number): Uint8Array {
  const start = reader.skip(count);
  const kinds = new Uint8Array(bytes.subarray(start, start + count));
  for (const kind of kinds) if (kind > 3) throw reader.unreadable(`row kind ${kind}`);
  return kinds;
}
