/**
 * Random records, watermarks, room limits, checkpoints and restores into other parallelisms: windows of records, reduced
 * records and accumulators give what a model gives that recomputes everything.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareBytes, encodeKeyToBytes } from '../../../../core/codec/key-codec.ts';
import type { Key } from '../../../../core/operators.ts';
import type { WindowInfo } from '../../../../core/window-functions.ts';
import type { WindowDefinition } from '../../../../core/windows.ts';
import { eventTimeTrigger, session, sliding, tumbling } from '../../../../client/index.ts';
import type { WindowBody } from '../../../../client/streams/general-windows.ts';
import { CheckpointImage, OperatorHarness } from '../../../../testing/operator-harness.ts';
import { memoryBackend, type StateBackend } from '../../../state/backend.ts';
import { createColdTestBackend } from '../../../state/cold-test-backend.ts';
import { windowOptions } from './window-harness.test-support.ts';

interface Item {
  readonly key: Key;
  readonly n: number;
  readonly list: readonly number[];
}

const text = (list: readonly number[], { key, window }: WindowInfo<Key>): string =>
  `${JSON.stringify(key)} ${window.start}..${window.end}: ${list.join()}`;

const bodies: Readonly<Record<string, WindowBody>> = {
  records: {
    resultOf: ((records: readonly Item[], context: WindowInfo<Key>) =>
      text(
        records.map((record) => record.n),
        context,
      )) as never,
  },
  reduce: {
    reduce: ((left: Item, right: Item) => ({ ...left, list: [...left.list, ...right.list] })) as never,
    resultOf: ((item: Item, context: WindowInfo<Key>) => text(item.list, context)) as never,
  },
  aggregate: {
    aggregates: {
      sum: { kind: 'sum', options: {}, select: ((item: Item) => item.n) as never },
      min: { kind: 'min', options: {}, select: ((item: Item) => item.n) as never },
      list: {
        kind: 'object',
        options: {},
        create: () => [],
        add: ((list: number[], item: Item) => [...list, item.n]) as never,
        merge: ((left: number[], right: number[]) => [...left, ...right]) as never,
        result: ((list: number[]) => list) as never,
        sizeOf: null,
        codec: null,
      },
    },
    resultOf: ((result: { list: number[]; sum: number; min: number }, context: WindowInfo<Key>) => {
      expect(result.sum).toBe(result.list.reduce((left, right) => left + right, 0));
      expect(result.min).toBe(Math.min(...result.list));
      return text(result.list, context);
    }) as never,
  },
};

const windows: Readonly<Record<string, WindowDefinition<never>>> = {
  tumbling: tumbling(10, { offset: 3 }),
  sliding: sliding(20, 8),
  session: session(7),
};

interface OpenWindow {
  readonly key: Key;
  readonly start: number;
  readonly end: number;
  readonly list: number[];
  /** A timer for its end is set. */
  pending: boolean;
}

class Model {
  open: OpenWindow[] = [];
  watermark = Number.NEGATIVE_INFINITY;
  late = 0;
  readonly #window: WindowDefinition<never>;
  readonly #latenessMs: number;

  constructor(window: WindowDefinition<never>, latenessMs: number) {
    this.#window = window;
    this.#latenessMs = latenessMs;
  }

  /** What a restore begins with. */
  copy(): Model {
    const copy = new Model(this.#window, this.#latenessMs);
    copy.open = this.open.map((window) => ({ ...window, list: [...window.list] }));
    return copy;
  }

  add(key: Key, n: number, timestamp: number, splitWatermark: number): string[] {
    const due = this.#window.kind === 'session' ? this.#join(key, n, timestamp, splitWatermark) : [];
    if (this.#window.kind !== 'session') {
      for (const [start, end] of this.#covering(timestamp)) {
        if (this.#removal(end) <= splitWatermark || this.#removal(end) <= this.watermark) continue;
        let window = this.open.find((one) => sameKey(one.key, key) && one.start === start && one.end === end);
        if (window === undefined) this.open.push((window = { key, start, end, list: [], pending: false }));
        window.list.push(n);
        due.push(window);
      }
    }
    if (due.length === 0) this.late++;
    const results: string[] = [];
    for (const window of due) {
      if (window.end - 1 > this.watermark) window.pending = true;
      else results.push(describe(window));
    }
    return results;
  }

  advance(watermark: number): string[] {
    this.watermark = Math.max(this.watermark, watermark);
    const due = this.open.filter((window) => window.pending && window.end - 1 <= this.watermark);
    due.sort(
      (left, right) =>
        left.end - right.end ||
        compareBytes(encodeKeyToBytes(left.key), encodeKeyToBytes(right.key)) ||
        left.start - right.start,
    );
    for (const window of due) window.pending = false;
    this.open = this.open.filter((window) => this.#removal(window.end) > this.watermark);
    return due.map(describe);
  }

  #join(key: Key, n: number, timestamp: number, splitWatermark: number): OpenWindow[] {
    const end = timestamp + 7;
    if (this.#removal(end) <= splitWatermark || this.#removal(end) <= this.watermark) return [];
    const touching = this.open.filter((one) => sameKey(one.key, key) && one.start <= end && one.end >= timestamp);
    touching.sort((left, right) => left.start - right.start);
    const bounds = [...touching, { start: timestamp, end }];
    const merged: OpenWindow = {
      key,
      start: Math.min(...bounds.map((one) => one.start)),
      end: Math.max(...bounds.map((one) => one.end)),
      list: [...touching.flatMap((one) => one.list), n],
      pending: false,
    };
    const [only] = touching;
    // Nothing has changed but the records: the timer of the window stays as it is.
    if (touching.length === 1 && only?.start === merged.start && only.end === merged.end) merged.pending = only.pending;
    this.open = [...this.open.filter((one) => !touching.includes(one)), merged];
    return [merged];
  }

  *#covering(timestamp: number): Generator<[start: number, end: number]> {
    const { sizeMs, offsetMs, slideMs } = this.#window as { sizeMs: number; offsetMs: number; slideMs?: number };
    const step = slideMs ?? sizeMs;
    for (
      let start = Math.floor((timestamp - sizeMs) / step) * step - step + offsetMs;
      start <= timestamp;
      start += step
    )
      if (start + sizeMs > timestamp) yield [start, start + sizeMs];
  }

  #removal(end: number): number {
    return end - 1 + this.#latenessMs;
  }
}

const sameKey = (left: Key, right: Key): boolean => JSON.stringify(left) === JSON.stringify(right);
const describe = ({ key, start, end, list }: OpenWindow): string =>
  text(list, { key, window: { start, end } } as WindowInfo<Key>);

type Step =
  | {
      readonly step: 'records';
      readonly records: readonly { key: Key; n: number; at: number; behind: number | null }[];
    }
  | { readonly step: 'watermark'; readonly by: number; readonly room: number }
  | { readonly step: 'checkpoint'; readonly abort: boolean }
  | { readonly step: 'restore'; readonly parallelism: number };

const records = fc.array(
  fc.record({
    key: fc.constantFrom<Key>(0, 'a', 'b', 'a key that is longer than thirteen', true, ['a', 1]),
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
  { weight: 2, arbitrary: fc.record({ step: fc.constant('checkpoint' as const), abort: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant('restore' as const), parallelism: fc.integer({ min: 1, max: 3 }) }),
  },
);

interface Subject {
  readonly window: WindowDefinition<never>;
  readonly body: WindowBody;
  readonly latenessMs: number;
  readonly createBackend: () => StateBackend;
}

/** The subtasks of the operator, driven together. */
class Subtasks {
  harnesses: readonly OperatorHarness<'window'>[] = [];
  readonly #subject: Subject;
  readonly #image: CheckpointImage;

  constructor(subject: Subject) {
    this.#subject = subject;
    this.#image = new CheckpointImage({ mayRepeat: !subject.createBackend().resident });
  }

  async open(parallelism: number): Promise<void> {
    const { window, body, latenessMs, createBackend } = this.#subject;
    const options = windowOptions({ window, body, allowedLatenessMs: latenessMs });
    const open = (subtaskIndex: number): Promise<OperatorHarness<'window'>> =>
      OperatorHarness.open({
        ...options,
        backend: createBackend(),
        restore: this.#image.rows,
        parallelism,
        subtaskIndex,
      });
    this.harnesses = await Promise.all(Array.from({ length: parallelism }, (_, index) => open(index)));
  }

  checkpoint(checkpointId: number, abort: boolean): void {
    const rows = this.harnesses.flatMap((harness) => harness.encode(harness.freeze(checkpointId)));
    for (const { operator } of this.harnesses) {
      if (abort) operator.checkpointAborted(checkpointId);
      else operator.checkpointCompleted(checkpointId);
    }
    if (!abort) this.#image.apply(rows);
  }

  get rows(): readonly unknown[] {
    return this.#image.rows;
  }

  get late(): number {
    return this.harnesses.reduce((sum, harness) => sum + harness.metrics.lateRecords, 0);
  }

  take(): unknown[] {
    return this.harnesses.flatMap((harness) => harness.outputs.splice(0).map((output) => output.value));
  }
}

async function run(steps: readonly Step[], subject: Subject): Promise<void> {
  const subtasks = new Subtasks(subject);
  await subtasks.open(1);
  let model = new Model(subject.window, subject.latenessMs);
  let completed = model.copy();
  let watermark = 0;
  let checkpointId = 0;
  const compare = (expected: readonly string[]): void => {
    // Between subtasks there is no order.
    const ordered = subtasks.harnesses.length === 1;
    expect(ordered ? subtasks.take() : subtasks.take().sort()).toEqual(ordered ? expected : [...expected].sort());
    expect(subtasks.late).toBe(model.late);
  };
  const advance = async (by: number, room: number): Promise<void> => {
    watermark += by;
    const expected = model.advance(watermark);
    for (const harness of subtasks.harnesses) {
      for (harness.room = room; !(await harness.watermark(watermark)); harness.room = room);
      harness.room = Number.POSITIVE_INFINITY;
    }
    compare(expected);
  };
  for (const next of steps) {
    if (next.step === 'records') {
      const inputs = next.records.map(({ key, n, at, behind }) => ({
        value: { key, n, list: [n] },
        timestamp: watermark + at,
        splitWatermark: behind === null ? Number.NaN : watermark + at + behind,
      }));
      const expected = inputs.flatMap(({ value, timestamp, splitWatermark }) =>
        model.add(value.key, value.n, timestamp, splitWatermark),
      );
      for (const harness of subtasks.harnesses)
        await harness.process(...inputs.filter((input) => harness.owns(input.value.key)));
      compare(expected);
    } else if (next.step === 'watermark') await advance(next.by, next.room);
    else if (next.step === 'checkpoint') {
      subtasks.checkpoint(++checkpointId, next.abort);
      if (!next.abort) completed = model.copy();
    } else {
      await subtasks.open(next.parallelism);
      model = completed.copy();
    }
  }
  await advance(10_000, 4);
  subtasks.checkpoint(++checkpointId, false);
  expect(model.open).toEqual([]);
  expect(subtasks.rows).toEqual([]);
}

const backends: readonly [string, () => StateBackend][] = [
  ['memory', () => memoryBackend],
  ['cold, 100 rows', () => createColdTestBackend()],
  ['cold, 3 rows', () => createColdTestBackend(3)],
];

test.each(backends)('windows equal the model over random work and restores on %s', async (_name, createBackend) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }),
      fc.constantFrom(...Object.keys(windows)),
      fc.constantFrom(...Object.keys(bodies)),
      fc.constantFrom(0, 7, 30),
      (steps, window, body, latenessMs) =>
        run(steps, {
          window: windows[window] as WindowDefinition<never>,
          body: bodies[body] as WindowBody,
          latenessMs,
          createBackend,
        }),
    ),
    { numRuns: 120 },
  );
});

test.each(['memory', 'cold'] as const)(
  'an explicit event-time trigger and a window function change nothing, on the %s backend',
  async (backend) => {
    const open = (trigger: object | undefined) =>
      OperatorHarness.open({
        ...windowOptions({ window: tumbling(10), trigger, body: bodies['records'] as WindowBody }),
        backend,
      });
    const [plain, explicit] = [await open(undefined), await open(eventTimeTrigger())];
    for (const harness of [plain, explicit]) {
      await harness.process(...[3, 1, 12, 9].map((timestamp) => ({ value: { key: 'a', n: timestamp }, timestamp })));
      await harness.watermark(30);
    }
    expect(plain.values).toEqual(['"a" 0..10: 3,1,9', '"a" 10..20: 12']);
    expect(explicit.outputs).toEqual(plain.outputs);
  },
);
