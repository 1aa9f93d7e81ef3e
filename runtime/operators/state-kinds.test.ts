/** Every kind of declared state, with and without a time to live, against a model that keeps plain arrays and times. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { avg, sum } from '../../client/aggregates/numeric.ts';
import { topN } from '../../client/aggregates/top-n.ts';
import type { Key, KeyedProcessFunction } from '../../core/operators.ts';
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  type StateDeclarations,
  type StateOptions,
  valueState,
} from '../../core/state/declarations.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { memoryBackend, type StateBackend } from '../state/backend.ts';
import { createProcessOperator } from './process.ts';

type Work =
  | { readonly do: 'add'; readonly from: number; readonly count: number }
  | { readonly do: 'replace'; readonly count: number }
  | { readonly do: 'set'; readonly from: number; readonly count: number }
  | { readonly do: 'unset'; readonly from: number; readonly count: number }
  | { readonly do: 'clear' }
  | { readonly do: 'read' };
interface Command {
  readonly key: Key;
  readonly work: Work;
}
type Step =
  | { readonly step: 'records'; readonly commands: readonly Command[] }
  | { readonly step: 'time'; readonly by: number }
  | { readonly step: 'checkpoint' }
  | { readonly step: 'restore' };

const lifeMs = 10;
const declare = (options?: StateOptions) => ({
  value: valueState<number>(options),
  map: mapState<number, number>(options),
  list: listState<number>(options),
  reducing: reducingState<number>((left, right) => left + right, options),
  mean: aggregatingState(
    avg((n: number) => n),
    options,
  ),
  best: aggregatingState(
    topN(3, (n: number) => n),
    options,
  ),
});
type Declared = ReturnType<typeof declare>;

const subjectOf = (state: Declared): KeyedProcessFunction<Command, Key, unknown, Declared> => ({
  state,
  onRecord({ work }, { state: { value, map, list, reducing, mean, best }, emit }) {
    if (work.do === 'add') {
      for (let n = work.from; n < work.from + work.count; n++) {
        list.add(n);
        reducing.add(n);
        mean.add(n);
        best.add(n);
      }
    } else if (work.do === 'replace') {
      list.update(Array.from({ length: work.count }, (_, n) => n));
      value.update(work.count);
    } else if (work.do === 'set') for (let n = work.from; n < work.from + work.count; n++) map.set(n, n * 2);
    else if (work.do === 'unset') for (let n = work.from; n < work.from + work.count; n++) map.delete(n);
    else if (work.do === 'clear') for (const each of [value, map, list, reducing, mean, best]) each.clear();
    else
      emit({
        value: value.value(),
        has: map.has(3),
        map: [...map.entries()],
        list: [...list],
        reducing: reducing.value(),
        mean: mean.value(),
        best: best.value(),
      });
  },
});

function harnessOptions(state: Declared): HarnessOptions<'process'> {
  const process = subjectOf(state);
  return {
    create: createProcessOperator,
    functions: { kind: 'process', keyOf: ((command: Command) => command.key) as never, process: process as never },
    maxParallelism: 8,
  };
}

interface Kept<T> {
  readonly value: T;
  at: number;
}

/** One key, as its author would describe it. */
class Model {
  now = 0;
  readonly #ttl: number;
  readonly #onRead: boolean;
  value: Kept<number>[] = [];
  map = new Map<number, Kept<number>>();
  list: Kept<number>[] = [];
  added: Kept<number[]>[] = [];

  constructor(options: StateOptions | undefined) {
    this.#ttl = options?.ttl ?? Number.POSITIVE_INFINITY;
    this.#onRead = options?.ttlUpdate === 'onRead';
  }

  copy(): Model {
    const copy = structuredClone({ value: this.value, map: this.map, list: this.list, added: this.added });
    const model = new Model({ ttl: this.#ttl, ttlUpdate: this.#onRead ? 'onRead' : 'onWrite' });
    return Object.assign(model, copy, { now: this.now });
  }

  run(work: Work): unknown[] {
    const alive = (kept: Kept<unknown>): boolean => kept.at + this.#ttl > this.now;
    const keep = <T>(value: T): Kept<T> => ({ value, at: this.now });
    this.value = this.value.filter(alive);
    this.list = this.list.filter(alive);
    this.added = this.added.filter(alive);
    for (const [key, kept] of this.map) if (!alive(kept)) this.map.delete(key);
    if (work.do === 'add') {
      for (let n = work.from; n < work.from + work.count; n++) {
        this.list.push(keep(n));
        this.added = [keep([...(this.added[0]?.value ?? []), n])];
      }
    } else if (work.do === 'replace') {
      this.list = Array.from({ length: work.count }, (_, n) => keep(n));
      this.value = [keep(work.count)];
    } else if (work.do === 'set') for (let n = work.from; n < work.from + work.count; n++) this.map.set(n, keep(n * 2));
    else if (work.do === 'unset') for (let n = work.from; n < work.from + work.count; n++) this.map.delete(n);
    else if (work.do === 'clear') Object.assign(this, { value: [], map: new Map(), list: [], added: [] });
    else return [this.#read()];
    return [];
  }

  #read(): unknown {
    if (this.#onRead)
      for (const kept of [...this.value, ...this.list, ...this.added, ...this.map.values()]) kept.at = this.now;
    const numbers = this.added[0]?.value;
    const total = numbers?.reduce((left, right) => left + right, 0);
    return {
      value: this.value[0]?.value,
      has: this.map.has(3),
      map: [...this.map]
        .map(([key, kept]) => [key, kept.value])
        .sort(([left], [right]) => Number(left) - Number(right)),
      list: this.list.map((kept) => kept.value),
      reducing: total,
      mean: numbers === undefined ? undefined : (total as number) / numbers.length,
      best: numbers === undefined ? undefined : [...numbers].sort((left, right) => right - left).slice(0, 3),
    };
  }
}

const keys: readonly Key[] = [0, 'a', ['b', 1], true, 7, 'a much longer key than most'];
const small = fc.integer({ min: 0, max: 9 });
const many = fc.constantFrom(1, 2, 70, 150);
const work: fc.Arbitrary<Work> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('add' as const), from: small, count: many }) },
  fc.record({ do: fc.constant('replace' as const), count: fc.constantFrom(0, 1, 64, 65, 130) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('set' as const), from: small, count: many }) },
  fc.record({ do: fc.constant('unset' as const), from: small, count: many }),
  fc.record({ do: fc.constant('clear' as const) }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const) }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      step: fc.constant('records' as const),
      commands: fc.array(fc.record({ key: fc.constantFrom(...keys), work }), { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ step: fc.constant('time' as const), by: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('checkpoint' as const) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('restore' as const) }) },
);

class Run {
  readonly #options: StateOptions | undefined;
  readonly #backend: () => StateBackend;
  #harnesses: OperatorHarness<'process'>[] = [];
  #models = new Map<Key, Model>();
  #completed = { models: new Map<Key, Model>(), now: 0 };
  readonly #image: CheckpointImage;
  #now = 0;
  #nextId = 1;

  constructor(options: StateOptions | undefined, backend: () => StateBackend) {
    this.#options = options;
    this.#backend = backend;
    this.#image = new CheckpointImage({ mayRepeat: !backend().resident });
  }

  /** @param parallelism subtasks from now on: state is rescaled when it changes */
  async open(parallelism: number): Promise<void> {
    this.#models = new Map(
      keys.map((key) => [key, this.#completed.models.get(key)?.copy() ?? new Model(this.#options)]),
    );
    this.#harnesses = [];
    for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
      const options = harnessOptions(declare(this.#options));
      const place = { parallelism, subtaskIndex, nowMs: this.#now, restore: this.#image.rows };
      this.#harnesses.push(await OperatorHarness.open({ ...options, ...place, backend: this.#backend() }));
    }
    await this.#tell();
  }

  async take(next: Step): Promise<void> {
    if (next.step === 'records') for (const command of next.commands) await this.#record(command);
    else if (next.step === 'time') {
      this.#now += next.by;
      await this.#tell();
    } else if (next.step === 'checkpoint') {
      const id = this.#nextId++;
      this.#image.apply(this.#harnesses.flatMap((harness) => harness.checkpoint(id)));
      this.#completed = {
        models: new Map([...this.#models].map(([key, model]) => [key, model.copy()])),
        now: this.#now,
      };
    } else await this.open((this.#harnesses.length % 3) + 1);
  }

  async finish(): Promise<void> {
    await this.take({ step: 'checkpoint' });
    await this.take({ step: 'restore' });
    for (const key of keys) await this.#record({ key, work: { do: 'read' } });
  }

  async #tell(): Promise<void> {
    for (const harness of this.#harnesses) {
      harness.nowMs = this.#now;
      await harness.watermark(this.#now);
    }
  }

  async #record(command: Command): Promise<void> {
    const model = this.#models.get(command.key) as Model;
    model.now = this.#now;
    const expected = model.run(command.work);
    const harness = this.#harnesses.find((each) => each.owns(command.key)) as OperatorHarness<'process'>;
    const before = harness.outputs.length;
    await harness.process({ value: command, timestamp: this.#now });
    expect(harness.values.slice(before)).toEqual(expected);
  }
}

const backends: Readonly<Record<string, () => StateBackend>> = {
  memory: () => memoryBackend,
  cold: () => createColdTestBackend(3),
};
const lives: readonly [string, StateOptions | undefined][] = [
  ['without a time to live', undefined],
  ['that lives after writes', { ttl: lifeMs }],
  ['that lives after reads', { ttl: lifeMs, ttlUpdate: 'onRead' }],
  ['that lives in event time', { ttl: lifeMs, time: 'event' }],
];

describe.each(Object.keys(backends))('state on the %s backend', (name) => {
  const backend = backends[name] as () => StateBackend;

  test.each(lives)('%s equals the model over random work, time, checkpoints and rescaling', async (_what, options) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        const run = new Run(options, backend);
        await run.open(1);
        for (const next of steps) await run.take(next);
        await run.finish();
      }),
      { numRuns: 40 },
    );
  });

  test.each(lives.slice(1))(
    '%s is removed when it is never read again, also after a restore',
    async (_what, options) => {
      const harness = await OperatorHarness.open({ ...harnessOptions(declare(options)), backend: backend() });
      await harness.watermark(0);
      const fill = (key: Key): Command[] => [
        { key, work: { do: 'add', from: 0, count: 70 } },
        { key, work: { do: 'set', from: 0, count: typeof key === 'number' && key % 2 === 0 ? 3 : 70 } },
      ];
      for (let key = 0; key < 20; key++) for (const value of fill(key)) await harness.process({ value, timestamp: 0 });
      const image = new CheckpointImage({ mayRepeat: !harness.backend.resident });
      image.apply(harness.checkpoint(1));
      expect(image.rows.length).toBeGreaterThan(100);
      const restored = await OperatorHarness.open({
        ...harnessOptions(declare(options)),
        backend: backend(),
        restore: image.rows,
      });
      for (const now of [lifeMs + 1, 3 * lifeMs]) {
        restored.nowMs = now;
        await restored.watermark(now);
        const quiet = { value: { key: 'other', work: { do: 'unset', from: 0, count: 1 } }, timestamp: now };
        for (let record = 0; record < 3_000; record++) await restored.process(quiet);
      }
      image.apply(restored.checkpoint(2));
      expect(image.rows.map((row) => row.stateName)).toEqual([]);
    },
  );
});

test('a time to live may be declared, and taken away, for state that is there', async () => {
  const options = { ttl: lifeMs };
  const write: Command = { key: 'a', work: { do: 'add', from: 5, count: 70 } };
  const set: Command = { key: 'a', work: { do: 'set', from: 0, count: 70 } };
  const read: Command = { key: 'a', work: { do: 'read' } };
  const image = new CheckpointImage();
  const plain = await OperatorHarness.open(harnessOptions(declare()));
  await plain.process(
    { value: write },
    { value: set },
    { value: { key: 'a', work: { do: 'replace', count: 65 } } },
    { value: read },
  );
  image.apply(plain.checkpoint(1));
  const timed = await OperatorHarness.open({ ...harnessOptions(declare(options)), restore: image.rows, nowMs: 1_000 });
  await timed.process({ value: read });
  expect(timed.values).toEqual(plain.values);
  // It counts from the first look at it.
  for (let record = 0; record < 50; record++) await timed.process({ value: { key: 'b', work: { do: 'clear' } } });
  image.apply(timed.checkpoint(2));
  const again = await OperatorHarness.open({ ...harnessOptions(declare()), restore: image.rows });
  await again.process({ value: read });
  expect(again.values).toEqual(plain.values);
  timed.nowMs = 1_000 + lifeMs;
  await timed.process({ value: read });
  expect(timed.values.at(-1)).toMatchObject({ list: [], map: [], has: false });
});

test('a timer sees what lives at its time when the watermark jumps', async () => {
  const state = { seen: valueState<number>({ ttl: 10, time: 'event' }) };
  const process: KeyedProcessFunction<number, Key, unknown, typeof state> = {
    state,
    onRecord(value, { state: { seen }, timers }) {
      seen.update(value);
      for (const at of [105, 109, 110]) timers.registerEventTime(at);
    },
    onTimer: (at, { state: { seen }, emit }) => emit([at, seen.value()]),
  };
  const harness = await OperatorHarness.open({
    create: createProcessOperator,
    functions: { kind: 'process', keyOf: () => 1, process: process as never },
  });
  await harness.process({ value: 7, timestamp: 100 });
  await harness.watermark(1_000);
  expect(harness.values).toEqual([
    [105, 7],
    [109, 7],
    [110, undefined],
  ]);
});

test('adding to a long list writes the new elements only', async () => {
  const harness = await OperatorHarness.open(harnessOptions(declare()));
  await harness.process({ value: { key: 'a', work: { do: 'add', from: 0, count: 1_000 } } });
  harness.checkpoint(1);
  await harness.process({ value: { key: 'a', work: { do: 'add', from: 0, count: 1 } } });
  const rows = harness.checkpoint(2).filter((row) => row.stateName === 'list');
  expect(rows).toHaveLength(1);
  expect(rows[0]?.value?.length).toBeLessThan(200);
});

test('an iteration over a list visits neither what is added meanwhile nor anything after it is cleared', async () => {
  const state = { list: listState<number>() };
  const process: KeyedProcessFunction<string, Key, unknown, typeof state> = {
    state,
    onRecord(value, { state: { list }, emit }) {
      list.update(Array.from({ length: 130 }, (_, n) => n));
      let count = 0;
      for (const n of list) {
        count++;
        if (value === 'add') list.add(n);
        if (value === 'clear' && n === 70) list.clear();
      }
      emit([count, [...list.get()].length]);
    },
  };
  for (const backend of Object.values(backends)) {
    const harness = await OperatorHarness.open({
      create: createProcessOperator,
      functions: { kind: 'process', keyOf: () => 1, process: process as never },
      backend: backend(),
    });
    await harness.process({ value: 'add' }, { value: 'clear' });
    expect(harness.values).toEqual([
      [130, 260],
      [71, 0],
    ]);
  }
});

describe('a state of another kind', () => {
  const kinds: Readonly<Record<string, StateDeclarations>> = {
    valueState: { s: valueState<unknown>() },
    mapState: { s: mapState<number, unknown>() },
    listState: { s: listState<unknown>() },
    aggregatingState: { s: aggregatingState(sum((n: number) => n)) },
    'valueState with ttl': { s: valueState<unknown>({ ttl: 5 }) },
    'mapState with ttl': { s: mapState<number, unknown>({ ttl: 5 }) },
    'listState with ttl': { s: listState<unknown>({ ttl: 5 }) },
    'aggregatingState with ttl': {
      s: aggregatingState(
        sum((n: number) => n),
        { ttl: 5 },
      ),
    },
  };
  const open = (
    state: StateDeclarations,
    backend: StateBackend,
    restore?: ReturnType<CheckpointImage['apply']> | never,
  ) => {
    const process: KeyedProcessFunction<number, Key, unknown, StateDeclarations> = {
      state,
      onRecord(value, { state: handles }) {
        const handle = handles['s'] as unknown as Record<string, ((...values: unknown[]) => void) | undefined>;
        for (let n = 0; n < 70; n++) {
          if (handle['update'] !== undefined && handle['add'] === undefined) handle['update'](value);
          handle['add']?.(value);
          handle['set']?.(n, value);
        }
      },
    };
    return OperatorHarness.open({
      create: createProcessOperator,
      functions: { kind: 'process', keyOf: ((value: number) => value) as never, process: process as never },
      backend,
      ...(restore === undefined ? {} : { restore: restore as never }),
    });
  };

  test.each(Object.keys(backends))('is refused by name when it is restored on the %s backend', async (backendName) => {
    const backend = backends[backendName] as () => StateBackend;
    for (const [before, declared] of Object.entries(kinds)) {
      const harness = await open(declared, memoryBackend);
      await harness.process({ value: 1 });
      const rows = harness.checkpoint(1);
      for (const [now, other] of Object.entries(kinds)) {
        const sameKind = before.split(' ')[0] === now.split(' ')[0];
        if (sameKind) {
          await open(other, backend(), rows as never);
          continue;
        }
        const error = await engineErrorOf(open(other, backend(), rows as never));
        expect(error.code).toBe('GRAPH_CHANGED');
        expect(error.message).toContain(`changed state types: state 's' of operator 'operator-under-test'`);
        expect(error.message).toContain(before.split(' ')[0]);
      }
    }
  });
});
