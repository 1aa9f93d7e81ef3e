import { describe, expect, test } from 'vitest';
import type { BroadcastProcessFunction, Key, KeyedBroadcastProcessFunction } from '../../core/operators.ts';
import { mapState, valueState } from '../../core/state/declarations.ts';
import { CheckpointImage, type HarnessOptions, OperatorHarness } from '../../testing/operator-harness.ts';
import { createBroadcastProcessOperator } from './broadcast-process.ts';
import { reservedKeyGroup, type RestoredRow } from './operator.ts';
import { createPlainBroadcastOperator } from './plain-process.ts';

interface Rule {
  readonly name: string;
  readonly limit: number | null;
}

const states = { total: valueState<number>() };
const rules = { rules: mapState<string, number>() };
/** Totals per key; emits when a total is above a rule. A new rule is applied to all keys there are. */
const watching: KeyedBroadcastProcessFunction<number, Rule, Key, unknown, typeof states, typeof rules> = {
  broadcastState: rules,
  state: states,
  onRecord(value, { key, state, broadcastState, timers, emit }) {
    const total = (state.total.value() ?? 0) + value;
    state.total.update(total);
    timers.registerEventTime(100);
    for (const [name, limit] of broadcastState.rules.entries()) if (total > limit) emit({ key, name, total });
  },
  onBroadcast({ name, limit }, { broadcastState, forEachKey, emit }) {
    if (limit === null) return broadcastState.rules.delete(name);
    broadcastState.rules.set(name, limit);
    forEachKey('total', (key, total) => {
      const now = total.value() ?? 0;
      if (now > limit) emit({ key, name, total: now });
      total.update(now + 1_000);
    });
  },
  onTimer: (at, { key, broadcastState, emit }) => emit({ at, key, rules: broadcastState.rules.size }),
};
const keyed: HarnessOptions<'broadcast-process'> = {
  create: createBroadcastProcessOperator,
  functions: {
    kind: 'broadcast-process',
    keyOf: ((value: number) => value % 1_000) as never,
    process: watching as never,
  },
};
const rule = (name: string, limit: number | null) => ({ value: { name, limit } });
const reservedOf = (rows: readonly RestoredRow[]) => rows.filter((row) => row.keyGroup === reservedKeyGroup);

describe.each(['memory', 'cold'] as const)('broadcast state on the %s backend', (backend) => {
  test('is read by records and timers, in the order of encoded keys', async () => {
    const harness = await OperatorHarness.open({ ...keyed, backend });
    await harness.processSecond(rule('b', 5), rule('a', 3), rule('c', 100));
    await harness.process({ value: 4 }, { value: 7 });
    expect(harness.values).toEqual([
      { key: 4, name: 'a', total: 4 },
      { key: 7, name: 'a', total: 7 },
      { key: 7, name: 'b', total: 7 },
    ]);
    await harness.processSecond(rule('a', null));
    await harness.watermark(100);
    expect(harness.values.slice(3)).toEqual([
      { at: 100, key: 4, rules: 2 },
      { at: 100, key: 7, rules: 2 },
    ]);
  });

  test('forEachKey visits every key of the subtask once, in the same order whatever is in the slot', async () => {
    const harness = await OperatorHarness.open({ ...keyed, backend });
    const memory = await OperatorHarness.open(keyed);
    for (const each of [harness, memory]) {
      for (let key = 0; key < 300; key++) await each.process({ value: key });
      await each.processSecond(rule('all', -1), rule('again', 999));
    }
    expect(harness.outputs).toHaveLength(600);
    expect(harness.values).toEqual(memory.values);
    expect(new Set(harness.values.slice(0, 300).map((value) => (value as { key: number }).key)).size).toBe(300);
  });

  test('is written by subtask 0 and given to all at any parallelism', async () => {
    const image = new CheckpointImage();
    const before = [];
    for (const subtaskIndex of [0, 1])
      before.push(await OperatorHarness.open({ ...keyed, backend, parallelism: 2, subtaskIndex }));
    for (const harness of before) {
      await harness.processSecond(rule('a', 3), rule('b', 4), rule('gone', 4));
      await harness.processSecond(rule('gone', null));
      for (let key = 0; key < 20; key++) if (harness.owns(key)) await harness.process({ value: key });
    }
    const rows = before.map((harness) => harness.checkpoint(1));
    expect(reservedOf(rows[1] as RestoredRow[])).toEqual([]);
    image.apply(rows.flat());
    for (const parallelism of [1, 3]) {
      const found: unknown[] = [];
      for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
        const place = { parallelism, subtaskIndex, restore: image.rows };
        const restored = await OperatorHarness.open({ ...keyed, backend, ...place });
        if (restored.owns(7)) await restored.process({ value: 1_007 });
        await restored.watermark(100);
        found.push(...restored.values);
      }
      expect(found).toContainEqual({ key: 7, name: 'b', total: 1_014 });
      expect(found).toContainEqual({ at: 100, key: 0, rules: 2 });
    }
  });
});

test('without a key the main stream reads what the broadcast stream wrote, and cannot write', async () => {
  const process: BroadcastProcessFunction<string, Rule, unknown, typeof rules> = {
    broadcastState: rules,
    onRecord: (value, { broadcastState, emit }) =>
      emit([value, broadcastState.rules.get(value), broadcastState.rules.has('x'), 'set' in broadcastState.rules]),
    onBroadcast({ name, limit }, { broadcastState }) {
      if (name === 'clear') broadcastState.rules.clear();
      else broadcastState.rules.set(name, limit ?? 0);
    },
  };
  const options: HarnessOptions<'plain-broadcast-process'> = {
    create: createPlainBroadcastOperator,
    functions: { kind: 'plain-broadcast-process', process: process as never },
  };
  const harness = await OperatorHarness.open(options);
  await harness.processSecond(rule('x', 1), rule('y', 2));
  await harness.process({ value: 'y' });
  const rows = harness.checkpoint(1);
  const restored = await OperatorHarness.open({ ...options, parallelism: 2, subtaskIndex: 1, restore: rows });
  await restored.process({ value: 'y' });
  await restored.processSecond(rule('clear', null));
  await restored.process({ value: 'y' });
  expect(harness.values).toEqual([['y', 2, true, false]]);
  expect(restored.values).toEqual([
    ['y', 2, true, false],
    ['y', undefined, false, false],
  ]);
});

test('forEachKey of a state that is not declared is refused by name', async () => {
  const process = {
    ...watching,
    onBroadcast: (_: unknown, context: { forEachKey: (name: string, f: () => void) => void }) =>
      context.forEachKey('other', () => {}),
  };
  const harness = await OperatorHarness.open({
    ...keyed,
    functions: { ...keyed.functions, process: process as never },
  });
  await expect(harness.processSecond(rule('a', 1))).rejects.toThrow(/forEachKey of the state 'other'/);
});
