/** State at its limits: a value of 16 MiB, many more new keys than the cache holds, values that are refused. */
import { describe, expect, test } from 'vitest';
import type { Key, KeyedProcessFunction } from '../../core/operators.ts';
import { listState, mapState, type StateDeclarations, valueState } from '../../core/state/declarations.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { createProcessOperator } from './process.ts';

function keyedBy<In, D extends StateDeclarations>(
  keyOf: (value: In) => Key,
  process: KeyedProcessFunction<In, Key, unknown, D>,
): HarnessOptions<'process'> {
  return {
    create: createProcessOperator,
    functions: { kind: 'process', keyOf: keyOf as never, process: process as never },
    operatorId: 'keeper',
  };
}

describe.each(['memory', 'cold'] as const)('state on the %s backend', (backend) => {
  test('keeps a value of 16 MiB in every kind over a restore', { timeout: 60_000 }, async () => {
    const bytes = new Uint8Array(16 * 1024 * 1024).map((_, index) => (index * 31) % 256);
    const state = {
      value: valueState<Uint8Array>(),
      map: mapState<string, Uint8Array>(),
      list: listState<Uint8Array>(),
    };
    const options = keyedBy((value: string) => value.slice(0, 1), {
      state,
      onRecord(value, { state: { value: one, map, list }, emit }) {
        if (value.endsWith('!')) {
          one.update(bytes);
          map.set('m', bytes);
          list.add(bytes);
        } else emit([one.value(), map.get('m'), ...list].map((found) => Buffer.compare(found as Uint8Array, bytes)));
      },
    });
    const harness = await OperatorHarness.open({ ...options, backend });
    await harness.process({ value: 'a!' });
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await OperatorHarness.open({ ...options, backend, restore: image.rows });
    await restored.process({ value: 'a' });
    expect(restored.values).toEqual([[0, 0, 0]]);
  });

  test.each([
    ['bytes, in the turn of the record', (length: number) => new Uint8Array(length), 1],
    ['an object, when it is encoded', (length: number) => ({ bytes: new Uint8Array(length) }), 64],
  ])('refuses a value above 16 MiB naming operator, state and key: %s', { timeout: 60_000 }, async (_, make, more) => {
    const options = keyedBy(() => 'k', {
      state: { big: valueState<unknown>() },
      onRecord: (length: number, { state: { big } }) => big.update(make(length)),
    });
    const limit = 16 * 1024 * 1024;
    const fitting = await OperatorHarness.open({ ...options, backend });
    await fitting.process({ value: limit });
    expect(() => fitting.checkpoint(1)).not.toThrow();
    const harness = await OperatorHarness.open({ ...options, backend });
    const run = async () => {
      await harness.process({ value: limit + more });
      harness.checkpoint(1);
    };
    const error = await engineErrorOf(run());
    expect(error.code).toBe('RECORD_TOO_LARGE');
    expect(error.message).toMatch(/state 'big' of operator 'keeper', key "k": a value of 167772\d\d bytes.*mapState/);
  });
});

const megabyte = 1024 * 1024;

test.each<[string, StateDeclarations, (handle: never, n: number) => void, RegExp]>([
  [
    'an entry of a map, at once',
    { s: mapState() },
    (s: { set(k: number, v: unknown): void }) => s.set(7, new Uint8Array(17 * megabyte)),
    /key "k", map key 7: a value of 17825792 bytes, more than stateValueMaxBytes/,
  ],
  [
    'an entry of a large map, when it is encoded',
    { s: mapState() },
    (s: { set(k: number, v: unknown): void }) => {
      for (let entry = 0; entry < 200; entry++) s.set(entry, { small: entry });
      s.set(7, { large: new Uint8Array(17 * megabyte) });
    },
    /key "k", map key 7: a value of 17825\d\d\d bytes, more than stateValueMaxBytes/,
  ],
  [
    'a chunk of a list',
    { s: listState() },
    (s: { add(v: unknown): void }) => {
      for (let part = 0; part < 5; part++) s.add(new Uint8Array(14 * megabyte));
    },
    /key "k".*: a value of 734\d+ bytes, more than stateRowMaxBytes \(67108864\)/,
  ],
])(
  '%s that is too large is refused naming state, operator and key',
  { timeout: 60_000 },
  async (_what, state, write, message) => {
    const options = keyedBy(() => 'k', {
      state,
      onRecord: (value: number, context) => write(context.state['s'] as never, value),
    });
    const harness = await OperatorHarness.open(options);
    const run = async () => {
      await harness.process({ value: 1 });
      harness.checkpoint(1);
    };
    const error = await engineErrorOf(run());
    expect([error.code, error.ids]).toMatchObject(['RECORD_TOO_LARGE', { operator: 'keeper', state: 's' }]);
    expect(error.message).toMatch(message);
  },
);

test('a flood of new keys, a thousand for each row of the cache, leaves the slot and is all there', {
  timeout: 60_000,
}, async () => {
  const cachedRows = 20;
  const keyCount = 1_000 * cachedRows;
  const backend = createColdTestBackend(cachedRows);
  const options = keyedBy((value: number) => value, {
    state: { sum: valueState<number>() },
    onRecord(value, { state: { sum }, emit }) {
      const total = (sum.value() ?? 0) + value;
      sum.update(total);
      if (total !== value) emit(total);
    },
  });
  const harness = await OperatorHarness.open({ ...options, backend });
  const flood = Array.from({ length: keyCount }, (_, index) => ({ value: index + 1 }));
  await harness.process(...flood);
  // What is not in the database is what the cache may hold, and what the stretch being processed has pinned.
  expect(backend.rowCount).toBeGreaterThanOrEqual(keyCount - 2 * cachedRows);
  expect(backend.blockingReads).toBe(0);
  const image = new CheckpointImage();
  image.apply(harness.checkpoint(1));
  expect(image.rows).toHaveLength(keyCount);
  await harness.process(...flood);
  expect(harness.values).toEqual(flood.map(({ value }) => value * 2));
});

test.each<[string, StateDeclarations, (handle: never) => void, RegExp]>([
  [
    'a value',
    { s: valueState() },
    (s: { update(v: unknown): void }) => s.update({ a: [1, () => 1] }),
    /key "k": .*\$\.a\[1\] is a function/,
  ],
  [
    'a map entry',
    { s: mapState() },
    (s: { set(k: number, v: unknown): void }) => s.set(1, { f: Symbol('x') }),
    /key "k".*is a symbol/,
  ],
  [
    'an element of a list',
    { s: listState() },
    (s: { add(v: unknown): void }) => s.add({ f: new (class Thing {})() }),
    /key "k".*\.f is an instance of Thing/,
  ],
])(
  '%s that cannot be stored is refused naming state, operator, key and place',
  async (_what, state, write, message) => {
    const options = keyedBy(() => 'k', {
      state,
      onRecord: (_value: number, context) => write(context.state['s'] as never),
    });
    const harness = await OperatorHarness.open(options);
    await harness.process({ value: 1 });
    const error = await engineErrorOf(Promise.resolve().then(() => harness.checkpoint(1)));
    expect(error.code).toBe('VALUE_NOT_ENCODABLE');
    expect(error.message).toContain("state 's' of operator 'keeper'");
    expect(error.message).toMatch(message);
  },
);
