/**
 * Run as a process of its own by own.test.ts: prints how many heap bytes each value kept from a decoded frame costs. The
 * least of some rounds: whatever else the process allocates meanwhile (compiled code, feedback) only adds.
 */
import { BatchDecoder, BatchEncoder } from '../../runtime/exchange/columnar-codec.ts';
import { ByteWriter } from './byte-sink.ts';
import { ownString, ownValue } from './own.ts';

const frames = 400;
const rows = 512;
const rounds = 5;

interface Kept {
  readonly id: number;
  readonly url: string;
}

const keepers: Record<string, (record: Kept) => unknown> = {
  ownString: (record) => ownString(record.url),
  ownValue: (record) => ownValue(record),
  nothing: (record) => record.url,
};

const keep = keepers[process.env['KEEP'] ?? ''] as (record: Kept) => unknown;
const collect = (globalThis as { gc?: () => void }).gc as () => void;
const encoder = new BatchEncoder();
const decoder = new BatchDecoder();
const sink = new ByteWriter();

function decodeFrame(frame: number): readonly Kept[] {
  const values = Array.from({ length: rows }, (_, row) => ({
    id: row,
    url: `https://example.org/${frame}/${row}/`.padEnd(58, 'x'),
  }));
  sink.reset();
  encoder.encode({ values, length: rows, timestamps: null, splitWatermarks: null, rowKinds: null, watermark: 0 }, sink);
  return decoder.decode(sink.take()).values as readonly Kept[];
}

function heapUsed(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

/** Heap bytes per value of one round; the values are kept until it is measured. */
function heapPerKept(): number {
  const kept = new Array<unknown>(frames).fill(null);
  const before = heapUsed();
  for (let frame = 0; frame < frames; frame++) kept[frame] = keep(decodeFrame(frame)[0] as Kept);
  return (heapUsed() - before) / kept.length;
}

process.stdout.write(String(Math.min(...Array.from({ length: rounds }, heapPerKept))));
