/**
 * Micro benchmark of the exchange codec beside JSON and `v8.serialize`: batches of 512 records, one core, frames of the
 * same records encoded and decoded again and again. Decoded records are compared with the originals before any clock runs.
 */
import { isDeepStrictEqual } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { ByteWriter } from '../core/codec/byte-sink.ts';
import { encodeValueToBytes } from '../core/codec/value-codec.ts';
import { decodeValue } from '../core/codec/value-decoder.ts';
import { encodeKeyToBytes } from '../core/codec/key-codec.ts';
import { hashBytes, hashKey } from '../core/codec/key-hash.ts';
import { type Batch, minWatermark } from '../core/stream/batch.ts';
import { BatchDecoder, BatchEncoder } from '../runtime/exchange/columnar-codec.ts';
import { type BenchmarkRow, benchmarkRow, cpuSecondsOf } from './row.ts';

const batchRecords = 512;
/** Different batches that take turns, so that nothing is measured on one lucky set of objects. */
const batchCount = 16;

/** Deterministic numbers below `limit`. */
type Draw = (limit: number) => number;

function drawFrom(seed: number): Draw {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * limit);
  };
}

const channels = ['Google', 'Facebook', 'Baidu', 'Apple'];
const text = (draw: Draw, length: number) => Array.from({ length }, () => String.fromCharCode(97 + draw(26))).join('');

const bid = (draw: Draw) => ({
  auction: 1000 + draw(100_000),
  bidder: 1000 + draw(50_000),
  price: 100 + draw(10_000_000),
  channel: channels[draw(4)] as string,
  url: `https://www.nexmark.com/${text(draw, 12)}/item.htm?query=1`,
  dateTime: 1_700_000_000_000 + draw(1_000_000),
  extra: text(draw, 10 + draw(20)),
});

const auction = (draw: Draw) => ({
  id: draw(100_000),
  itemName: text(draw, 20),
  description: text(draw, 60),
  initialBid: draw(10_000),
  reserve: draw(20_000),
  dateTime: 1_700_000_000_000 + draw(1_000_000),
  expires: 1_700_000_000_000 + draw(9_000_000),
  seller: draw(50_000),
  category: draw(10),
  extra: text(draw, 20),
});

const person = (draw: Draw) => ({
  id: draw(50_000),
  name: `${text(draw, 5)} ${text(draw, 7)}`,
  emailAddress: `${text(draw, 7)}@${text(draw, 5)}.com`,
  creditCard: text(draw, 19),
  city: text(draw, 8),
  state: text(draw, 2).toUpperCase(),
  dateTime: 1_700_000_000_000 + draw(1_000_000),
  extra: text(draw, 20),
});

function polymorphic(draw: Draw): unknown {
  const die = draw(50);
  if (die === 0) return person(draw);
  return die <= 3 ? auction(draw) : bid(draw);
}

/** Ten fields, of which each but the first is left out in 30 records of 100. */
function optional(draw: Draw): unknown {
  const record: Record<string, unknown> = { id: draw(100_000) };
  for (let field = 1; field < 10; field++) {
    if (draw(10) >= 3) record[`field${field}`] = field % 2 === 0 ? draw(1000) : text(draw, 10);
  }
  return record;
}

const numbersOnly = (draw: Draw) => ({ key: draw(100_000), count: draw(1000), sum: draw(1_000_000) / 8 });

const cases: readonly (readonly [string, (draw: Draw) => unknown])[] = [
  ['bid-7-fields', bid],
  ['polymorphic person|auction|bid', polymorphic],
  ['30% optional fields', optional],
  ['numbers only', numbersOnly],
];

interface Codec {
  encode(values: readonly unknown[]): Uint8Array;
  decode(frame: Uint8Array): unknown;
}

function columnar(): Codec {
  const encoder = new BatchEncoder();
  const decoder = new BatchDecoder();
  const sink = new ByteWriter();
  return {
    encode: (values) => {
      sink.reset();
      encoder.encode(batchOf(values), sink);
      return sink.buffer.subarray(0, sink.position);
    },
    decode: (frame) => decoder.decode(frame).values,
  };
}

function batchOf(values: readonly unknown[]): Batch {
  return {
    values,
    length: values.length,
    timestamps: null,
    splitWatermarks: null,
    rowKinds: null,
    watermark: minWatermark,
  };
}

const codecs: readonly (readonly [string, () => Codec])[] = [
  ['', columnar],
  ['stored value ', () => ({ encode: encodeValueToBytes, decode: decodeValue })],
  [
    'JSON ',
    () => ({
      encode: (values) => Buffer.from(JSON.stringify(values)),
      decode: (frame) => JSON.parse(Buffer.from(frame).toString()),
    }),
  ],
  ['v8.serialize ', () => ({ encode: serialize, decode: deserialize })],
];

/** Runs every case for about `seconds`, encoding and decoding. */
export function runCodecBenchmark(options: { seconds: number }): BenchmarkRow[] {
  const rows: BenchmarkRow[] = [];
  for (const [caseName, make] of cases) {
    const draw = drawFrom(42);
    const batches = Array.from({ length: batchCount }, () => Array.from({ length: batchRecords }, () => make(draw)));
    for (const [codecName, makeCodec] of codecs)
      rows.push(...runCase(`${codecName}${caseName}`, makeCodec(), batches, options.seconds));
  }
  rows.push(...runKeyHash(options.seconds));
  return rows;
}

function runCase(name: string, codec: Codec, batches: readonly unknown[][], seconds: number): BenchmarkRow[] {
  const frames: Uint8Array[] = [];
  let checked = true;
  // Shapes are announced in the first rounds; frames of the last one can be decoded in any order, again and again.
  for (const batch of [...batches, ...batches, ...batches]) {
    const frame = codec.encode(batch).slice();
    // Decoded first: a decoder must see every frame.
    checked = isDeepStrictEqual(codec.decode(frame), batch) && checked;
    frames.push(frame);
  }
  const steady = frames.slice(-batches.length);
  return [
    measure(`${name} encode`, seconds, checked, (index) => void codec.encode(batches[index % batchCount] as unknown[])),
    measure(`${name} decode`, seconds, checked, (index) => void codec.decode(steady[index % batchCount] as Uint8Array)),
  ];
}

function runKeyHash(seconds: number): BenchmarkRow[] {
  const draw = drawFrom(7);
  type KeyBatches = readonly (readonly (string | number)[])[];
  const keysOf = (make: () => string | number): KeyBatches =>
    Array.from({ length: batchCount }, () => Array.from({ length: batchRecords }, make));
  const run = (name: string, batches: KeyBatches) =>
    measure(name, seconds, batches.flat().every(hashesLikeItsBytes), (index) => {
      let sum = 0;
      for (const key of batches[index % batchCount] as readonly (string | number)[]) sum ^= hashKey(key);
      // Never true; keeps the loop from being optimised away.
      if (sum === 0.5) throw new Error('a hash is an integer');
    });
  return [
    run(
      'key hash numbers',
      keysOf(() => draw(1_000_000)),
    ),
    run(
      'key hash strings of 12',
      keysOf(() => text(draw, 12)),
    ),
  ];
}

function hashesLikeItsBytes(key: string | number): boolean {
  const bytes = encodeKeyToBytes(key);
  return hashKey(key) === hashBytes(bytes, 0, bytes.length);
}

/** Share of the time spent before the clock starts, for the optimising compiler. */
const warmUpShare = 0.3;

function measure(caseName: string, seconds: number, checked: boolean, work: (index: number) => void): BenchmarkRow {
  runFor(seconds * warmUpShare, work);
  const cpuStart = cpuSecondsOf();
  const { rounds, elapsed } = runFor(seconds, work);
  return benchmarkRow({
    benchmark: 'codec',
    case: caseName,
    parallelism: 1,
    events: rounds * batchRecords,
    seconds: elapsed,
    cpuSeconds: cpuSecondsOf() - cpuStart,
    checkpoints: 0,
    checked,
  });
}

function runFor(seconds: number, work: (index: number) => void): { rounds: number; elapsed: number } {
  const start = performance.now();
  let rounds = 0;
  let elapsed = 0;
  while (elapsed < seconds) {
    for (let index = 0; index < batchCount; index++) work(rounds++);
    elapsed = (performance.now() - start) / 1000;
  }
  return { rounds, elapsed };
}
