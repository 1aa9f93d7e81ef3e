/** Random records, splits, watermarks, lateness, room limits, checkpoints and restores: sliding and session windows equal naive models. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Key } from '../../../core/operators.ts';
import type { JsonObject } from '../../../core/plain-data.ts';
import { CheckpointImage, OperatorHarness, SnapshotReader } from '../../../testing/operator-harness.ts';
import { memoryBackend, type StateBackend } from '../../state/backend.ts';
import { createColdTestBackend } from '../../state/cold-test-backend.ts';
import { createWindowAggregateOperator } from '../window-aggregate.ts';
import { type Reading, SessionModel, SlidingModel, sorted, type WindowModel } from './window-models.test-support.ts';

interface Given {
  readonly key: Key;
  readonly n: number;
  readonly at: number;
  readonly behind: number | null;
}
type Step =
  | { readonly step: 'records'; readonly records: readonly Given[] }
  | { readonly step: 'watermark'; readonly by: number; readonly room: number }
  | { readonly step: 'checkpoint'; readonly abort: boolean; readonly recordsBefore: boolean }
  | { readonly step: 'restore'; readonly rescale: boolean };

interface Scenario {
  readonly window: JsonObject;
  readonly gapOf?: (value: Reading) => number;
  model(allowedLatenessMs: number): WindowModel;
}

const key = fc.constantFrom<Key>(0, 1, -1, 0.5, 'a', 'b', '\ud83d\ude00', 'a key that is longer than thirteen', [
  'a',
  1,
]);
const records = fc.array(
  fc.record({
    key,
    n: fc.integer({ min: -5, max: 5 }),
    at: fc.integer({ min: -30, max: 60 }),
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
  { weight: 1, arbitrary: fc.record({ step: fc.constant('restore' as const), rescale: fc.boolean() }) },
);

const list = {
  kind: 'object',
  options: {},
  create: () => [],
  add: (numbers: number[], value: Reading) => {
    numbers.push(value.n);
    return numbers;
  },
  merge: (left: number[], right: number[]) => {
    left.push(...right);
    return left;
  },
  result: sorted,
  sizeOf: null,
  codec: null,
};

class Run {
  readonly #scenario: Scenario;
  readonly #allowedLatenessMs: number;
  readonly #createBackend: () => StateBackend;
  readonly #image: CheckpointImage;
  #harness!: OperatorHarness<'window-aggregate'>;
  #model: WindowModel;
  #completed: WindowModel;
  #watermark = 0;
  #checkpointId = 0;

  constructor(scenario: Scenario, allowedLatenessMs: number, createBackend: () => StateBackend) {
    this.#scenario = scenario;
    this.#allowedLatenessMs = allowedLatenessMs;
    this.#createBackend = createBackend;
    this.#image = new CheckpointImage({ mayRepeat: !createBackend().resident });
    this.#model = scenario.model(allowedLatenessMs);
    this.#completed = this.#model.copy();
  }

  async all(steps: readonly Step[]): Promise<void> {
    this.#harness = await this.#open();
    for (const next of steps) await this.#one(next);
    await this.#advance(10_000, 4);
    expect(this.#model.size).toBe(0);
    this.#image.apply(this.#harness.checkpoint(++this.#checkpointId));
    expect(this.#image.rows.filter((row) => row.stateName !== 'fired')).toEqual([]);
  }

  async #one(next: Step): Promise<void> {
    switch (next.step) {
      case 'records':
        return this.#process(next.records);
      case 'watermark':
        return this.#advance(next.by, next.room);
      case 'checkpoint':
        return this.#checkpoint(next.abort, next.recordsBefore);
      case 'restore':
        if (next.rescale) await this.#rescale();
        this.#harness = await this.#open();
        this.#model = this.#completed.copy();
    }
  }

  #open(parallelism = 1, subtaskIndex = 0): Promise<OperatorHarness<'window-aggregate'>> {
    const { window, gapOf } = this.#scenario;
    const select = ((value: Reading) => value.n) as never;
    return OperatorHarness.open({
      create: createWindowAggregateOperator,
      config: { window, allowedLatenessMs: this.#allowedLatenessMs, lateTag: 'late' },
      functions: {
        kind: 'window-aggregate',
        keyOf: ((value: Reading) => value.key) as never,
        ...(gapOf === undefined ? {} : { gapOf: gapOf as never }),
        aggregates: {
          count: { kind: 'count', options: {}, select: null },
          sum: { kind: 'sum', options: {}, select },
          least: { kind: 'min', options: {}, select },
          list: list as never,
        },
      },
      backend: this.#createBackend(),
      restore: this.#image.rows,
      parallelism,
      subtaskIndex,
    });
  }

  /** Two subtasks take the state over and hand it on. */
  async #rescale(): Promise<void> {
    const checkpointId = ++this.#checkpointId;
    const halves = await Promise.all([this.#open(2, 0), this.#open(2, 1)]);
    const rows = halves.flatMap((half) => half.checkpoint(checkpointId));
    this.#image.apply(rows);
  }

  async #process(batch: readonly Given[]): Promise<void> {
    const inputs = batch.map(({ key: of, n, at, behind }) => ({
      value: { key: of, n },
      timestamp: this.#watermark + at,
      splitWatermark: behind === null ? Number.NaN : this.#watermark + at + behind,
    }));
    const lateBefore = this.#harness.metrics.lateRecords - this.#model.late;
    const expected = inputs.flatMap(({ value, timestamp, splitWatermark }) =>
      this.#model.add(value, timestamp, splitWatermark),
    );
    const before = this.#harness.outputs.length;
    await this.#harness.process(...inputs);
    expect(this.#harness.values.slice(before)).toEqual(expected);
    expect(this.#harness.metrics.lateRecords - this.#model.late).toBe(lateBefore);
  }

  async #advance(by: number, room: number): Promise<void> {
    this.#watermark += by;
    const expected = this.#model.advance(this.#watermark);
    const harness = this.#harness;
    const before = harness.outputs.length;
    for (harness.room = room; !(await harness.watermark(this.#watermark)); harness.room = room);
    harness.room = Number.POSITIVE_INFINITY;
    expect(harness.values.slice(before)).toEqual(expected);
  }

  async #checkpoint(abort: boolean, recordsBefore: boolean): Promise<void> {
    const checkpointId = ++this.#checkpointId;
    const atBarrier = this.#model.copy();
    const reader = new SnapshotReader(this.#harness.freeze(checkpointId));
    if (recordsBefore) {
      await this.#process([{ key: 0, n: 1, at: 3, behind: null }]);
      await this.#advance(5, 3);
    }
    if (abort) return this.#harness.operator.checkpointAborted(checkpointId);
    this.#image.apply(reader.finish());
    this.#harness.operator.checkpointCompleted(checkpointId);
    this.#completed = atBarrier;
  }
}

const sliding = (sizeMs: number, slideMs: number): Scenario => ({
  window: { kind: 'sliding', time: 'event', sizeMs, slideMs, offsetMs: 0 },
  model: (allowedLatenessMs) => new SlidingModel(sizeMs, slideMs, allowedLatenessMs),
});
const gapOf = ({ n }: Reading): number => 4 + ((n + 5) % 4) * 5;
const scenarios: readonly [string, Scenario][] = [
  ['sliding windows of even panes', sliding(12, 4)],
  ['sliding windows of uneven panes', sliding(13, 5)],
  ['sliding windows that only tumble', sliding(10, 10)],
  [
    'sessions',
    {
      window: { kind: 'session', time: 'event', gapMs: 10 },
      model: (allowedLatenessMs) => new SessionModel(() => 10, allowedLatenessMs),
    },
  ],
  [
    'sessions with a gap of each record',
    {
      window: { kind: 'session', time: 'event', gapMs: null },
      gapOf,
      model: (allowedLatenessMs) => new SessionModel(gapOf, allowedLatenessMs),
    },
  ],
];
const backends: readonly [string, () => StateBackend][] = [
  ['memory', () => memoryBackend],
  ['cold, 100 rows', () => createColdTestBackend()],
  ['cold, 3 rows', () => createColdTestBackend(3)],
];
const cases = scenarios.flatMap(([name, scenario]) =>
  backends.map(([backend, create]) => [name, backend, scenario, create] as const),
);

test.each(cases)(
  '%s equal the model over random work and restores when on %s',
  async (_name, _backend, scenario, create) => {
    const script = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' });
    await fc.assert(
      fc.asyncProperty(script, fc.constantFrom(0, 7, 30), (steps, allowedLatenessMs) =>
        new Run(scenario, allowedLatenessMs, create).all(steps),
      ),
      { numRuns: 60 },
    );
  },
);
