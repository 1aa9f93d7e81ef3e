import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  anyDate,
  anyNumber,
  anyPrimitive,
  anyString,
  anyValue,
  difference,
  objectOf,
} from '../../core/codec/arbitraries.test.support.ts';
import { ByteWriter } from '../../core/codec/byte-sink.ts';
import { isEngineError } from '../../core/errors.ts';
import { type Batch, maxWatermark, minWatermark } from '../../core/stream/batch.ts';
import { BatchDecoder, BatchEncoder } from './columnar-codec.ts';

function batchOf(values: readonly unknown[], parts: Partial<Batch> = {}): Batch {
  return {
    values,
    length: values.length,
    timestamps: null,
    splitWatermarks: null,
    rowKinds: null,
    watermark: minWatermark,
    ...parts,
  };
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
      user: fc.option(
        fc.record({ name: anyString, age: anyNumber }, { requiredKeys: ['name'], noNullPrototype: true }),
      ),
      items: fc.array(fc.record({ sku: anyString, count: fc.integer() }, { noNullPrototype: true }), { maxLength: 3 }),
    },
    { requiredKeys: ['kind'], noNullPrototype: true },
  ),
  fc
    .array(fc.tuple(fc.constantFrom('x', 'y', '__proto__', 'toString', '3', '1', 'constructor'), anyPrimitive), {
      maxLength: 5,
    })
    .map(objectOf),
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
  const times = fc
    .array(anyTime, { minLength: values.length, maxLength: values.length + 2 })
    .map((list) => Float64Array.from(list));
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
  const trim = <A extends Float64Array | Uint8Array>(column: A | null) =>
    column === null ? null : (column.slice(0, batch.length) as A);
  return {
    ...batch,
    timestamps: trim(batch.timestamps),
    splitWatermarks: trim(batch.splitWatermarks),
    rowKinds: trim(batch.rowKinds),
  };
}

function frameOf(encoder: BatchEncoder, values: readonly unknown[]): Uint8Array {
  const sink = new ByteWriter();
  encoder.encode(batchOf(values), sink);
  return sink.take();
}

describe('columnar codec', () => {
  test('batches are the same after the exchange, whatever came before on the channel', () => {
    fc.assert(
      fc.property(
        fc.array(anyBatch, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(1, 2, 64),
        (batches, shapesMax) => {
          const received = transfer(batches, shapesMax);
          batches.forEach((batch, index) =>
            expect(difference(received[index], trimmed(batch), `$${index}`)).toBeUndefined(),
          );
        },
      ),
      { numRuns: 1500 },
    );
  });

  test('batch that only carries a watermark is the same', () => {
    for (const watermark of [minWatermark, maxWatermark, -0, 1.7e12]) {
      expect(difference(transfer([batchOf([], { watermark })])[0], batchOf([], { watermark }))).toBeUndefined();
    }
  });

  test('fields named like those of Object.prototype are data', () => {
    const values = [
      objectOf([
        ['__proto__', 1],
        ['constructor', 'a'],
      ]),
      objectOf([
        ['__proto__', { x: 1 }],
        ['constructor', 'b'],
      ]),
      objectOf([['__proto__', null]]),
    ];
    const received = transfer([batchOf(values)])[0]?.values as object[];
    expect(difference(received, values)).toBeUndefined();
    expect(received.map((record) => Object.getPrototypeOf(record))).toEqual([
      Object.prototype,
      Object.prototype,
      Object.prototype,
    ]);
  });

  test('objects have every field when Object.prototype has enumerable ones', () => {
    const values = [{ a: 1, polluted: 2 }, { a: 2 }, { a: 3, b: 1 }];
    Object.defineProperty(Object.prototype, 'polluted', {
      value: 1,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    try {
      expect(transfer([batchOf(values)])[0]?.values.map((value) => Object.entries(value as object))).toEqual(
        values.map((value) => Object.entries(value)),
      );
    } finally {
      delete (Object.prototype as Record<string, unknown>)['polluted'];
    }
  });

  test('records deeper than columns go are the same', () => {
    const nest = (depth: number): unknown =>
      depth === 0 ? [1, 'x'] : { depth, inner: nest(depth - 1), list: [depth] };
    for (const depth of [3, 4, 5, 20, 62])
      expect(difference(transfer([batchOf([nest(depth)])])[0]?.values, [nest(depth)])).toBeUndefined();
  });

  test('field that changes its type from batch to batch is the same in each', () => {
    const values = [1, 2, 0.5, -0, 'text', null, 7, { nested: true }, undefined, 3];
    const batches = values.map((field) =>
      batchOf([
        { field, other: 1 },
        { field, other: 2 },
      ]),
    );
    expect(difference(transfer(batches), batches)).toBeUndefined();
  });

  test.each([
    ['a function', [{ a: 1 }, { a: { b: () => 1 } }], '$.a.b'],
    ['a class instance', [{ a: 1 }, { a: [new (class Order {})()] }], '$.a[0]'],
    ['a hole', [[1], [1, , 2]], '$[1]'],
    ['a symbol', [1, Symbol('s')], '$'],
  ])('batch is refused naming the place when it contains %s', (_name, values, path) => {
    const sink = new ByteWriter();
    sink.ensure(3);
    sink.position = 3;
    expect(thrownBy(() => new BatchEncoder().encode(batchOf(values), sink))).toMatchObject({
      code: 'VALUE_NOT_ENCODABLE',
      ids: { path },
    });
    expect(sink.position).toBe(3);
  });

  test('batch is refused when records contain themselves many times over', () => {
    const record: Record<string, unknown> = {};
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) record[name] = record;
    expect(thrownBy(() => frameOf(new BatchEncoder(), [record]))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' });
  });

  test('channel goes on when a batch that announced a shape was refused', () => {
    const encoder = new BatchEncoder();
    const decoder = new BatchDecoder();
    expect(thrownBy(() => frameOf(encoder, [{ first: 1 }, { second: 2, bad: () => 1 }]))).toBeDefined();
    for (const values of [[{ second: 1, bad: 2 }], [{ first: 1 }], [{ second: 3, bad: 4 }, { first: 2 }]]) {
      expect(decoder.decode(frameOf(encoder, values)).values).toEqual(values);
    }
  });

  test('frame announces nothing and is small when its shapes are known', () => {
    const encoder = new BatchEncoder();
    const values = Array.from({ length: 100 }, (_, row) => ({ aLongFieldName: row, anotherLongFieldName: row }));
    const [first, second] = [frameOf(encoder, values), frameOf(encoder, values)];
    expect(first.length - second.length).toBeGreaterThan(30);
    expect(second.length).toBeLessThan(100 * 8 + 12);
  });

  test('optional fields make few shapes and stay columns', () => {
    const encoder = new BatchEncoder();
    const record = (row: number) => {
      const value: Record<string, unknown> = { id: row };
      for (let field = 0; field < 9; field++)
        if (((row * 2_654_435_761) >>> (field + 8)) % 10 >= 3) value[`optional${field}`] = row;
      return value;
    };
    const values = Array.from({ length: 512 }, (_, row) => record(row));
    const names = (frame: Uint8Array) => Buffer.from(frame).toString('latin1').split('optional').length - 1;
    expect(names(frameOf(encoder, values))).toBeLessThan(100);
    for (let round = 0; round < 3; round++) frameOf(encoder, values);
    expect(names(frameOf(encoder, values))).toBe(0);
  });

  test('channel learns at most shapesMax shapes and objects of others are the same all the same', () => {
    const encoder = new BatchEncoder({ shapesMax: 4 });
    const decoder = new BatchDecoder({ shapesMax: 4 });
    for (let batch = 0; batch < 50; batch++) {
      const values = Array.from({ length: 10 }, (_, row) => ({ [`key${batch}-${row}`]: row, [`other${row}`]: batch }));
      expect(decoder.decode(frameOf(encoder, values)).values).toEqual(values);
    }
  });

  test('decoder refuses more shapes than shapesMax', () => {
    const frame = frameOf(new BatchEncoder(), [{ a: 1 }, { b: 1 }, { c: 1 }]);
    expect(thrownBy(() => new BatchDecoder({ shapesMax: 2 }).decode(frame))).toMatchObject({ code: 'PROTOCOL' });
  });

  test('decoder refuses a shape that was announced in a frame it did not see', () => {
    const encoder = new BatchEncoder();
    frameOf(encoder, [{ a: 1 }]);
    expect(thrownBy(() => new BatchDecoder().decode(frameOf(encoder, [{ a: 2 }])))).toMatchObject({ code: 'PROTOCOL' });
  });

  test('every truncation of a frame is refused', () => {
    fc.assert(
      fc.property(anyBatch, fc.nat(), (batch, at) => {
        const sink = new ByteWriter();
        new BatchEncoder().encode(batch, sink);
        const frame = sink.take();
        expect(thrownBy(() => new BatchDecoder().decode(frame.subarray(0, at % frame.length)))).toMatchObject({
          code: 'PROTOCOL',
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('changed frames give a batch or an engine error, never anything else', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(anyBatch, changes, (batch, list) => {
        const sink = new ByteWriter();
        new BatchEncoder().encode(batch, sink);
        const frame = sink.take();
        for (const [at, byte] of list) frame[at % frame.length] = byte;
        const error = thrownBy(() => new BatchDecoder().decode(frame));
        if (error !== undefined) expect(isEngineError(error) && error.code).toBe('PROTOCOL');
      }),
      { numRuns: 5000 },
    );
  });

  test('random bytes give a batch or an engine error, never anything else', () => {
    const small = fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(small, { maxLength: 80 }), (bytes) => {
        const error = thrownBy(() => new BatchDecoder().decode(Uint8Array.of(0, ...bytes)));
        if (error !== undefined) expect(isEngineError(error) && error.code).toBe('PROTOCOL');
      }),
      { numRuns: 15_000 },
    );
  });

  test('strings of many sizes are the same when columns are large', () => {
    const long = 'x'.repeat(300_000);
    for (const values of [
      [long, 'a'],
      [`${long}é`, 'b'],
      [`${long}\ud800`, ''],
      Array.from({ length: 3000 }, (_, row) => 'y'.repeat(row % 300)),
    ]) {
      expect(transfer([batchOf(values)])[0]?.values).toEqual(values);
    }
  });

  test('decoded batch shares no memory with the frame', () => {
    const values = [{ at: 1, bytes: Uint8Array.of(1, 2), floats: Float64Array.of(1.5), text: 'x'.repeat(40) }];
    const frame = frameOf(new BatchEncoder(), values);
    const decoded = new BatchDecoder().decode(frame);
    frame.fill(0);
    expect(decoded.values).toEqual(values);
  });
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}
