/** Random records, watermarks, room limits, checkpoints and restores: memory and cold backends give what the model gives. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareBytes, encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { CheckpointImage, OperatorHarness, SnapshotReader } from '../../testing/operator-harness.ts';
import { memoryBackend, type StateBackend } from '../state/backend.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { createWindowAggregateOperator } from './window-aggregate.ts';

interface Reading {
  readonly key: Key;
  readonly n: number;
}
interface Row {
  readonly key: Key;
  sum: number;
  list: number[];
  fired: boolean;
}
type Step =
  | {
      readonly step: 'records';
      readonly records: readonly { key: Key; n: number; at: number; behind: number | null }[];
    }
  | { readonly step: 'watermark'; readonly by: number; readonly room: number }
  | { readonly step: 'checkpoint'; readonly abort: boolean; readonly recordsBefore: boolean }
  | { readonly step: 'restore' };

const sizeMs = 10;
const key = fc.constantFrom<Key>(
  0,
  1,
  -1,
  0.5,
  'a',
  'b',
  '\uffee',
  '\ud83d\ude00',
  'a key that is longer than thirteen',
  true,
  ['a', 1],
);
const records = fc.array(
  fc.record({
    key,
    n: fc.integer({ min: -5, max: 5 }),
    at: fc.integer({ min: -20, max: 60 }),
    behind: fc.option(fc.integer({ min: 0, max: 40 })),
  }),
  { minLength: 1, maxLength: 12, size: 'max' },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ step: fc.constant('records' as const), records }) },
  {
    weight: 3,
    arbitrary: fc.record({
      step: fc.constant('watermark' as const),
      by: fc.integer({ min: 0, max: 25 }),
      room: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      step: fc.constant('checkpoint' as const),
      abort: fc.boolean(),
      recordsBefore: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('restore' as const) }) },
);

class Model {
  panes = new Map<number, Map<string, Row>>();
  watermark = Number.NEGATIVE_INFINITY;
  late = 0;
  readonly allowedLatenessMs: number;

  constructor(allowedLatenessMs: number) {
    this.allowedLatenessMs = allowedLatenessMs;
  }

  /** What a restore begins with. */
  copy(): Model {
    const copy = new Model(this.allowedLatenessMs);
    for (const [start, rows] of this.panes) {
      copy.panes.set(start, new Map([...rows].map(([id, row]) => [id, { ...row, list: [...row.list] }])));
    }
    return copy;
  }

  add(value: Reading, timestamp: number, splitWatermark: number): unknown[] {
    const start = Math.floor(timestamp / sizeMs) * sizeMs;
    const expiry = start + sizeMs - 1 + this.allowedLatenessMs;
    if (expiry <= splitWatermark || expiry <= this.watermark) {
      this.late++;
      return [];
    }
    const rows = this.panes.get(start) ?? new Map<string, Row>();
    this.panes.set(start, rows);
    const id = Buffer.from(encodeKeyToBytes(value.key)).toString('hex');
    const row = rows.get(id) ?? { key: value.key, sum: 0, list: [], fired: false };
    rows.set(id, row);
    row.sum += value.n;
    row.list.push(value.n);
    row.fired = start + sizeMs - 1 <= this.watermark;
    return row.fired ? [resultOf(start, row)] : [];
  }

  advance(watermark: number): unknown[] {
    this.watermark = Math.max(this.watermark, watermark);
    const outputs: unknown[] = [];
    for (const start of [...this.panes.keys()].sort((left, right) => left - right)) {
      if (start + sizeMs - 1 > this.watermark) continue;
      const rows = [...(this.panes.get(start) as Map<string, Row>).values()];
      rows.sort((left, right) => compareBytes(encodeKeyToBytes(left.key), encodeKeyToBytes(right.key)));
      for (const row of rows) {
        if (!row.fired) outputs.push(resultOf(start, row));
        row.fired = true;
      }
      if (start + sizeMs - 1 + this.allowedLatenessMs <= this.watermark) this.panes.delete(start);
    }
    return outputs;
  }
}

function resultOf(start: number, row: Row): unknown {
  return { key: row.key, windowStart: start, windowEnd: start + sizeMs, sum: row.sum, list: [...row.list] };
}

async function run(
  steps: readonly Step[],
  allowedLatenessMs: number,
  createBackend: () => StateBackend,
): Promise<void> {
  const image = new CheckpointImage({ mayRepeat: !createBackend().resident });
  const open = (): Promise<OperatorHarness<'window-aggregate'>> =>
    OperatorHarness.open({
      create: createWindowAggregateOperator,
      config: { window: { kind: 'tumbling', sizeMs, offsetMs: 0 }, allowedLatenessMs, lateTag: null },
      functions: {
        kind: 'window-aggregate',
        keyOf: ((value: Reading) => value.key) as never,
        aggregates: {
          sum: { kind: 'sum', options: {}, select: ((value: Reading) => value.n) as never },
          list: {
            kind: 'object',
            options: {},
            create: () => [],
            add: ((list: number[], value: Reading) => {
              list.push(value.n);
              return list;
            }) as never,
            merge: ((left: number[], right: number[]) => [...left, ...right]) as never,
            result: ((list: number[]) => [...list]) as never,
            sizeOf: null,
            codec: null,
          },
        },
      },
      backend: createBackend(),
      restore: image.rows,
    });
  let harness = await open();
  let model = new Model(allowedLatenessMs);
  let completed = model.copy();
  let watermark = 0;
  let checkpointId = 0;
  const process = async (batch: Extract<Step, { step: 'records' }>['records']): Promise<void> => {
    const inputs = batch.map(({ key: of, n, at, behind }) => ({
      value: { key: of, n },
      timestamp: watermark + at,
      splitWatermark: behind === null ? Number.NaN : watermark + at + behind,
    }));
    const expected = inputs.flatMap((input) => model.add(input.value, input.timestamp, input.splitWatermark));
    const before = harness.outputs.length;
    await harness.process(...inputs);
    expect(harness.values.slice(before)).toEqual(expected);
  };
  const advance = async (by: number, room: number): Promise<void> => {
    watermark += by;
    const expected = model.advance(watermark);
    const before = harness.outputs.length;
    for (harness.room = room; !(await harness.watermark(watermark)); harness.room = room);
    harness.room = Number.POSITIVE_INFINITY;
    expect(harness.values.slice(before)).toEqual(expected);
  };
  const sample = [{ key: 0, n: 1, at: 3, behind: null }] as const;
  for (const next of steps) {
    if (next.step === 'records') await process(next.records);
    else if (next.step === 'watermark') await advance(next.by, next.room);
    else if (next.step === 'checkpoint') {
      const atBarrier = model.copy();
      const reader = new SnapshotReader(harness.freeze(++checkpointId));
      if (next.recordsBefore) {
        await process(sample);
        await advance(5, 3);
      }
      if (next.abort) harness.operator.checkpointAborted(checkpointId);
      else {
        image.apply(reader.finish());
        harness.operator.checkpointCompleted(checkpointId);
        completed = atBarrier;
      }
    } else {
      harness = await open();
      model = completed.copy();
    }
  }
  await advance(10_000, 4);
  expect(model.panes.size).toBe(0);
  image.apply(harness.checkpoint(++checkpointId));
  expect(image.rows).toEqual([]);
}

const backends: readonly [string, () => StateBackend][] = [
  ['memory', () => memoryBackend],
  ['cold, 100 rows', () => createColdTestBackend()],
  ['cold, 3 rows', () => createColdTestBackend(3)],
];

test.each(backends)('windows equal the model over random work and restores on %s', async (_name, createBackend) => {
  const script = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' });
  await fc.assert(
    fc.asyncProperty(script, fc.constantFrom(0, 7, 30), (steps, allowedLatenessMs) =>
      run(steps, allowedLatenessMs, createBackend),
    ),
    { numRuns: 120 },
  );
});
