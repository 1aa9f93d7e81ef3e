import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyDate, anyNumber, anyPrimitive, anyString, anyValue, difference, objectOf } from '../../core/codec/arbitraries.test-support.ts';
import { ByteWriter } from '../../core/codec/byte-sink.ts';
import { type Batch, maxWatermark, minWatermark } from '../../core/stream/batch.ts';
import { BatchDecoder, BatchEncoder } from './columnar-codec.ts';

function batchOf(values: readonly unknown[], parts: Partial<Batch> = {}): Batch {
  return { values, length: values.length, timestamps: null, splitWatermarks: null, rowKinds: null, watermark: minWatermark, ...parts };
}

/** Sends batches over one channel; the frames begin at odd places. */
function transfer(batches: readonly Batch[], shapesMax = 64): Batch[] {
  const encoder = new BatchEncoder({ shapesMax });
  const decoder = new BatchDecoder({ shapesMax });
  const sink = new ByteWriter(1);
  return batches.map((batch) => {
    sink.reset();
    sink.ensure(1);
    sink.position = 1;
    encoder.encode(batch, sink);
    const frame = sink.buffer.slice(0, sink.position).subarray(1);
    const decoded = decoder.decode(frame);
    frame.fill(0xee);
    return decoded;
  });
}

/** Objects as streams have them: few shapes, optional and nullable fields, nested objects and arrays. */
const anyRecord: fc.Arbitrary<unknown> = fc.oneof(
  fc.record({ id: fc.integer(), name: anyString, price: anyNumber, at: anyDate }, { noNullPrototype: true }),
  fc.record(
    { id: fc.integer(), tag: anyString, note: fc.option(anyString), flag: fc.boolean(), extra: anyPrimitive },
    { requiredKeys: ['id'], noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constantFrom('a', 'b'),
      user: fc.option(fc.record({ name: anyString, age: anyNumber }, { requiredKeys: ['name'], noNullPrototype: true })),
      items: fc.array(fc.record({ sku: anyString, count: fc.integer() }, { noNullPrototype: true }), { maxLength: 3 }),
    },
    { requiredKeys: ['kind'], noNullPrototype: true },
  ),
  fc.array(fc.tuple(fc.constantFrom('x', 'y', '__proto__', 'toString', '3', '1', 'constructor'), anyPrimitive), { maxLength: 5 }).map(objectOf),
);

const anyColumn: fc.Arbitrary<unknown[]> = fc.oneof(
  fc.array(anyRecord, { maxLength: 30 }),
  fc.array(anyNumber, { maxLength: 30 }),
  fc.array(anyString, { maxLength: 30 }),
  fc.array(anyPrimitive, { maxLength: 30 }),
  fc.array(anyValue, { maxLength: 10 }),
);

const anyTime = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, 1.7e12));

const anyBatch: fc.Arbitrary<Batch> = anyColumn.chain((values) => {
  const times = fc.array(anyTime, { minLength: values.length, maxLength: values.length + 2 }).map((list) => Float64Array.from(list));
  const kinds = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: values.length, maxLength: values.length + 2 });
  return fc
    .record({
      timestamps: fc.option(times),
      splitWatermarks: fc.option(times),
      rowKinds: fc.option(kinds.map((list) => Uint8Array.from(list))),
      watermark: fc.oneof(anyTime, fc.constantFrom(minWatermark, maxWatermark)),
    })
    .map((parts) => batchOf(values, parts));
});

/** Columns of a batch without the room its builder left behind. */
function trimmed(batch: Batch): Batch {
  const trim = <A extends Float64Array | Uint8Array>(column: A | null) => (column === null ? null : (column.slice(0, batch.length) as A));
  return {
    ...batch,
    timestamps: trim(batch.timestamps),
    splitWatermarks: trim(batch.splitWatermarks),
    rowKinds: trim(batch.rowKinds),
  };
}

describe('columnar codec', () => {
  test('batches are the same after the exchange, whatever came before on the channel', () => {
    fc.assert(
      fc.property(fc.array(anyBatch, { minLength: 1, maxLength: 4 }), fc.constantFrom(1, 2, 64), (batches, shapesMax) => {
        const received = transfer(batches, shapesMax);
        batches.forEach((batch, index) => expect(difference(received[index], trimmed(batch), `$${index}`)).toBeUndefined());
      }),
      { numRuns: 3000 },
    );
  });
});
