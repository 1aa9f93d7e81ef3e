/**
 * Random scripts for keyed state and the model they are checked against. A script drives a `process` operator with value
 * state, map state and timers through records, checkpoints in every order of news, and restores; the model is three plain
 * maps and a list of copies.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { compareBytes, encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import type { Key, KeyedProcessFunction } from '../../core/operators.ts';
import { mapState, valueState } from '../../core/state/declarations.ts';
import { CheckpointImage, OperatorHarness, SnapshotReader } from '../../testing/operator-harness.ts';
import { createProcessOperator } from '../operators/process.ts';
import type { RestoredRow } from '../operators/operator.ts';
import { memoryBackend, type StateBackend } from './backend.ts';

type Work =
  | { readonly do: 'update'; readonly value: number }
  | { readonly do: 'mutate'; readonly value: number }
  | { readonly do: 'clear' }
  | { readonly do: 'set'; readonly from: number; readonly count: number; readonly value: number }
  | { readonly do: 'delete'; readonly from: number; readonly count: number }
  | { readonly do: 'clearMap' }
  | { readonly do: 'read' }
  | { readonly do: 'timer'; readonly at: number }
  | { readonly do: 'deleteTimer'; readonly at: number };
interface Command {
  readonly key: Key;
  readonly work: Work;
}
export type ScriptStep =
  | { readonly step: 'records'; readonly commands: readonly Command[] }
  | { readonly step: 'watermark'; readonly by: number }
  | { readonly step: 'freeze' }
  | { readonly step: 'encode'; readonly which: number }
  | { readonly step: 'complete'; readonly which: number }
  | { readonly step: 'abort'; readonly which: number }
  | { readonly step: 'restore' };

/** Few keys, so that work, eviction and checkpoints meet on the same rows. */
const keys: readonly Key[] = [
  0,
  1,
  2,
  'a',
  'a much longer key than most',
  '\ud83d\ude00',
  '\uffee',
  '',
  Number.NaN,
  0.5,
  true,
  12n,
  new Date(0),
  ['a', 1],
  [1],
  new Uint8Array([0, 1]),
];
const key: fc.Arbitrary<Key> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom<Key>(0, 1, 'a') },
  { weight: 1, arbitrary: fc.constantFrom<Key>(...keys, -0) },
);
const small = fc.integer({ min: 0, max: 99 });
const work: fc.Arbitrary<Work> = fc.oneof(
  fc.record({ do: fc.constant('update' as const), value: small }),
  fc.record({ do: fc.constant('mutate' as const), value: small }),
  fc.record({ do: fc.constant('clear' as const) }),
  fc.record({ do: fc.constant('set' as const), from: small, count: fc.constantFrom(1, 3, 70), value: small }),
  fc.record({ do: fc.constant('delete' as const), from: small, count: fc.constantFrom(1, 3, 70) }),
  fc.record({ do: fc.constant('clearMap' as const) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('timer' as const), at: fc.integer({ min: 0, max: 9 }) }) },
  fc.record({ do: fc.constant('deleteTimer' as const), at: fc.integer({ min: 0, max: 9 }) }),
);
const step: fc.Arbitrary<ScriptStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      step: fc.constant('records' as const),
      commands: fc.array(fc.record({ key, work }), { minLength: 1, maxLength: 6, size: 'max' }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('watermark' as const), by: fc.integer({ min: 0, max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ step: fc.constant('freeze' as const) }) },
  { weight: 4, arbitrary: fc.record({ step: fc.constant('encode' as const), which: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ step: fc.constant('complete' as const), which: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('abort' as const), which: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('restore' as const) }) },
);
/** Steps of a random script. */
export const keyedScript: fc.Arbitrary<readonly ScriptStep[]> = fc.array(step, {
  minLength: 1,
  maxLength: 60,
  size: 'max',
});

/** Once lost a tombstone: deleted, evicted, put again and deleted again between two checkpoints. */
export const tombstoneEvictedAndRevived: readonly ScriptStep[] = [
  { step: 'records', commands: [{ key: 'a', work: { do: 'update', value: 0 } }] },
  { step: 'freeze' },
  { step: 'records', commands: [{ key: 'a', work: { do: 'clear' } }] },
  { step: 'complete', which: 0 },
  {
    step: 'records',
    commands: [0, 1, 2, '', 'a', 0].map((part) => ({
      key: part,
      work: part === 'a' ? { do: 'update', value: 0 } : { do: 'clear' },
    })),
  },
  { step: 'records', commands: [{ key: 'a', work: { do: 'clear' } }] },
];

const textOf = (part: Key): string => Buffer.from(encodeKeyToBytes(part)).toString('hex');
const byBytes = (left: Key, right: Key): number => compareBytes(encodeKeyToBytes(left), encodeKeyToBytes(right));

/** The same meaning without any engine. */
class Model {
  values = new Map<string, { n: number }>();
  maps = new Map<string, Map<number, number>>();
  timers = new Map<string, { key: Key; at: number }>();

  copy(): Model {
    const copy = new Model();
    for (const [id, value] of this.values) copy.values.set(id, { ...value });
    for (const [id, map] of this.maps) copy.maps.set(id, new Map(map));
    copy.timers = new Map(this.timers);
    return copy;
  }

  run(command: Command): unknown[] {
    const id = textOf(command.key);
    const todo = command.work;
    const map = this.maps.get(id) ?? new Map<number, number>();
    const value = this.values.get(id);
    if (todo.do === 'update') this.values.set(id, { n: todo.value });
    else if (todo.do === 'mutate' && value !== undefined) value.n += todo.value;
    else if (todo.do === 'clear') this.values.delete(id);
    else if (todo.do === 'set') for (let index = 0; index < todo.count; index++) map.set(todo.from + index, todo.value);
    else if (todo.do === 'delete') for (let index = 0; index < todo.count; index++) map.delete(todo.from + index);
    else if (todo.do === 'clearMap') map.clear();
    else if (todo.do === 'timer') this.timers.set(`${id} ${todo.at}`, { key: command.key, at: todo.at });
    else if (todo.do === 'deleteTimer') this.timers.delete(`${id} ${todo.at}`);
    this.maps.set(id, map);
    return todo.do === 'read'
      ? [{ n: this.values.get(id)?.n, has: map.has(5), entries: [...map].sort((left, right) => left[0] - right[0]) }]
      : [];
  }

  fire(watermark: number): unknown[] {
    const due = [...this.timers].filter(([, timer]) => timer.at <= watermark);
    due.sort(([, left], [, right]) => left.at - right.at || byBytes(left.key, right.key));
    for (const [id] of due) this.timers.delete(id);
    return due.map(([, timer]) => ({ timer: timer.at, n: this.values.get(textOf(timer.key))?.n }));
  }
}

const states = { value: valueState<{ n: number }>(), map: mapState<number, number>() };
const subject: KeyedProcessFunction<Command, Key, unknown, typeof states> = {
  state: states,
  onRecord({ work: todo }, { state, timers, emit }) {
    const { value, map } = state;
    switch (todo.do) {
      case 'update':
        return value.update({ n: todo.value });
      case 'mutate': {
        const live = value.value();
        if (live === undefined) return;
        live.n += todo.value;
        return value.update(live);
      }
      case 'clear':
        return value.clear();
      case 'set':
        for (let index = 0; index < todo.count; index++) map.set(todo.from + index, todo.value);
        return;
      case 'delete':
        for (let index = 0; index < todo.count; index++) map.delete(todo.from + index);
        return;
      case 'clearMap':
        return map.clear();
      case 'timer':
        return timers.registerEventTime(todo.at);
      case 'deleteTimer':
        return timers.deleteEventTime(todo.at);
      case 'read':
        return emit({ n: value.value()?.n, has: map.has(5), entries: [...map.entries()] });
    }
  },
  onTimer(timestampMs, { state, emit }) {
    emit({ timer: timestampMs, n: state.value.value()?.n });
  },
};

function openSubject(backend: StateBackend, restore: readonly RestoredRow[]): Promise<OperatorHarness<'process'>> {
  return OperatorHarness.open({
    create: createProcessOperator,
    functions: { kind: 'process', keyOf: ((command: Command) => command.key) as never, process: subject as never },
    backend,
    maxParallelism: 8,
    restore,
  });
}

/** A checkpoint under way: the frozen rows and what they must amount to. */
interface Pending {
  readonly id: number;
  readonly reader: SnapshotReader;
  readonly model: Model;
}

class ScriptRun {
  #harness: OperatorHarness<'process'>;
  #model = new Model();
  #completedModel = new Model();
  readonly #image: CheckpointImage;
  #pending: Pending[] = [];
  #nextId = 1;
  #watermark = -1;
  readonly #open: (restore: readonly RestoredRow[]) => Promise<OperatorHarness<'process'>>;

  private constructor(
    harness: OperatorHarness<'process'>,
    open: (restore: readonly RestoredRow[]) => Promise<OperatorHarness<'process'>>,
  ) {
    this.#harness = harness;
    this.#image = new CheckpointImage({ mayRepeat: !harness.backend.resident });
    this.#open = open;
  }

  static async start(createBackend: () => Promise<StateBackend>): Promise<ScriptRun> {
    const open = async (restore: readonly RestoredRow[]): Promise<OperatorHarness<'process'>> =>
      openSubject(await createBackend(), restore);
    return new ScriptRun(await open([]), open);
  }

  async take(next: ScriptStep): Promise<void> {
    switch (next.step) {
      case 'records':
        return this.#records(next.commands);
      case 'watermark':
        this.#watermark += next.by;
        return this.#expectOutputs(this.#model.fire(this.#watermark), () => this.#harness.watermark(this.#watermark));
      case 'freeze': {
        const id = this.#nextId++;
        this.#pending.push({ id, reader: new SnapshotReader(this.#harness.freeze(id)), model: this.#model.copy() });
        return;
      }
      case 'encode':
        return void this.#pending[next.which % Math.max(this.#pending.length, 1)]?.reader.slice();
      case 'complete':
        this.#complete(next.which);
        return this.#checkImage();
      case 'abort': {
        const [aborted] = this.#pending.splice(next.which % Math.max(this.#pending.length, 1), 1);
        if (aborted !== undefined) this.#harness.operator.checkpointAborted(aborted.id);
        return;
      }
      case 'restore':
        return this.#restore();
    }
  }

  /** The last checkpoint and the state in the operator are what the model says. */
  async finish(): Promise<void> {
    await this.#readAll();
    const id = this.#nextId++;
    this.#pending.push({ id, reader: new SnapshotReader(this.#harness.freeze(id)), model: this.#model.copy() });
    this.#complete(this.#pending.length - 1);
    await this.#restore();
    await this.#readAll();
    await this.#expectOutputs(this.#model.fire(1000), () => this.#harness.watermark(1000));
  }

  async #records(commands: readonly Command[]): Promise<void> {
    const expected = commands.flatMap((command) => this.#model.run(command));
    await this.#expectOutputs(expected, () =>
      this.#harness.process(...commands.map((command) => ({ value: command }))),
    );
  }

  async #readAll(): Promise<void> {
    await this.#records(keys.map((part) => ({ key: part, work: { do: 'read' } })));
  }

  async #expectOutputs(expected: unknown[], act: () => Promise<unknown>): Promise<void> {
    const before = this.#harness.outputs.length;
    await act();
    expect(this.#harness.values.slice(before)).toEqual(expected);
  }

  #complete(which: number): void {
    if (this.#pending.length === 0) return;
    const index = which % this.#pending.length;
    const done = this.#pending[index] as Pending;
    const rows = done.reader.finish();
    this.#pending.splice(0, index + 1);
    this.#harness.operator.checkpointCompleted(done.id);
    this.#image.apply(rows);
    this.#completedModel = done.model;
  }

  /** A restore from the last completed checkpoint would find what the model had at its barrier. */
  async #checkImage(): Promise<void> {
    const model = this.#completedModel.copy();
    const restored = await openSubject(memoryBackend, this.#image.rows);
    const reads: Command[] = keys.map((part) => ({ key: part, work: { do: 'read' } }));
    await restored.process(...reads.map((command) => ({ value: command })));
    await restored.watermark(1000);
    expect(restored.values).toEqual([...reads.flatMap((command) => model.run(command)), ...model.fire(1000)]);
  }

  async #restore(): Promise<void> {
    this.#pending = [];
    this.#model = this.#completedModel.copy();
    this.#watermark = -1;
    this.#harness = await this.#open(this.#image.rows);
  }
}

/** Runs a script; every output, and the state after a last restore, must be the model's. */
export async function runKeyedScript(
  script: readonly ScriptStep[],
  createBackend: () => Promise<StateBackend>,
): Promise<void> {
  const run = await ScriptRun.start(createBackend);
  for (const next of script) await run.take(next);
  await run.finish();
}
