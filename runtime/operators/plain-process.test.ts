import { describe, expect, test } from 'vitest';
import type { CoProcessFunction, ProcessFunction } from '../../core/operators.ts';
import { operatorListState, type OperatorStateMode } from '../../core/state/operator-state.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createPlainCoProcessOperator, createPlainProcessOperator } from './plain-process.ts';

/** Keeps records; `get` emits them, `clear` forgets them. */
function keeping(mode: OperatorStateMode): HarnessOptions<'plain-process'> {
  const state = { kept: operatorListState<number>({ mode }) };
  const process: ProcessFunction<number | 'get' | 'clear', unknown, typeof state> = {
    state,
    onRecord(value, { state: { kept }, emit, timestamp, watermark }) {
      if (value === 'get') emit({ kept: [...kept], timestamp, watermark });
      else if (value === 'clear') kept.clear();
      else kept.add(value);
    },
  };
  return { create: createPlainProcessOperator, functions: { kind: 'plain-process', process: process as never } };
}

type Harness = OperatorHarness<'plain-process'>;

/** Subtasks of an operator restored from an image; reserved rows are read by all. */
async function openAll(
  options: HarnessOptions<'plain-process'>,
  parallelism: number,
  image: CheckpointImage,
): Promise<Harness[]> {
  const harnesses: Harness[] = [];
  for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
    harnesses.push(await OperatorHarness.open({ ...options, parallelism, subtaskIndex, restore: image.rows }));
  }
  return harnesses;
}

async function keptOf(harness: Harness): Promise<readonly number[]> {
  await harness.process({ value: 'get' });
  return (harness.values.at(-1) as { kept: number[] }).kept;
}

const fill = async (harness: Harness, from: number, count: number): Promise<void> =>
  harness.process(...Array.from({ length: count }, (_, index) => ({ value: from + index })));

describe('operator list state', () => {
  test('split: the elements of all are given out in order when parallelism changes, and stay where they are when not', async () => {
    const options = keeping('split');
    const image = new CheckpointImage();
    const two = await openAll(options, 2, image);
    await fill(two[0] as Harness, 0, 150);
    await fill(two[1] as Harness, 1_000, 3);
    image.apply(two.flatMap((harness) => harness.checkpoint(1)));
    const same = await openAll(options, 2, image);
    expect((await Promise.all(same.map(keptOf))).map((kept) => kept.length)).toEqual([150, 3]);
    expect(same.flatMap((harness) => harness.checkpoint(2))).toEqual([]);
    const three = await openAll(options, 3, image);
    const shares = await Promise.all(three.map(keptOf));
    expect(shares.map((share) => share.length)).toEqual([51, 51, 51]);
    const all = [...Array.from({ length: 150 }, (_, n) => n), 1_000, 1_001, 1_002];
    expect(shares.flat()).toEqual(all);
    image.apply(three.flatMap((harness) => harness.checkpoint(3)));
    const one = await openAll(options, 1, image);
    expect(await keptOf(one[0] as Harness)).toEqual(all);
    image.apply(one.flatMap((harness) => harness.checkpoint(4)));
    expect(image.rows).toHaveLength(3);
  });

  test('union: every subtask is given the elements of all', async () => {
    const options = keeping('union');
    const image = new CheckpointImage();
    const two = await openAll(options, 2, image);
    await fill(two[0] as Harness, 0, 2);
    await fill(two[1] as Harness, 10, 2);
    image.apply(two.flatMap((harness) => harness.checkpoint(1)));
    for (const parallelism of [2, 3]) {
      const restored = await openAll(options, parallelism, image);
      for (const harness of restored) expect(await keptOf(harness)).toEqual([0, 1, 10, 11]);
    }
  });

  test('writes the rows that changed, and again until a checkpoint that has them is complete', async () => {
    const harness = await OperatorHarness.open(keeping('split'));
    await fill(harness, 0, 100);
    expect(harness.encode(harness.freeze(1))).toHaveLength(2);
    await fill(harness, 100, 1);
    expect(harness.encode(harness.freeze(2))).toHaveLength(2);
    harness.operator.checkpointCompleted(2);
    await fill(harness, 200, 1);
    expect(harness.checkpoint(3)).toHaveLength(1);
    await harness.process({ value: 'clear' });
    expect(harness.checkpoint(4).map((row) => row.value)).toEqual([null, null]);
  });

  test('is what it was at the barrier when it changes before it is written', async () => {
    const harness = await OperatorHarness.open(keeping('split'));
    await fill(harness, 0, 3);
    const frozen = harness.freeze(1);
    await fill(harness, 3, 3);
    const image = new CheckpointImage();
    image.apply(harness.encode(frozen));
    const [restored] = await openAll(keeping('split'), 1, image);
    expect(await keptOf(restored as Harness)).toEqual([0, 1, 2]);
  });

  test('a value that cannot be stored is refused naming state, operator and place', async () => {
    const harness = await OperatorHarness.open({ ...keeping('split'), operatorId: 'keeper' });
    await harness.process({ value: { a: [1, () => 1] } });
    const error = await engineErrorOf(Promise.resolve().then(() => harness.checkpoint(1)));
    expect(error.code).toBe('VALUE_NOT_ENCODABLE');
    expect(error.message).toMatch(/state 'kept' of operator 'keeper'.*a\[1\] is a function/);
  });

  test('is refused by name when it is no longer declared', async () => {
    const harness = await OperatorHarness.open(keeping('split'));
    await fill(harness, 0, 1);
    const rows = harness.checkpoint(1);
    const without: HarnessOptions<'plain-process'> = {
      create: createPlainProcessOperator,
      functions: { kind: 'plain-process', process: { onRecord: () => {} } },
    };
    const error = await engineErrorOf(OperatorHarness.open({ ...without, restore: rows }));
    expect(error.code).toBe('GRAPH_CHANGED');
    expect(error.message).toContain("'kept'");
  });
});

test('tells time and watermark of a record, and opens and closes the function', async () => {
  const calls: string[] = [];
  const process: ProcessFunction<number, unknown, Record<never, never>> = {
    open: ({ subtaskIndex }) => void calls.push(`open ${subtaskIndex}`),
    onRecord: (value, context) => context.emit([value, context.timestamp, context.watermark, context.processingTimeMs]),
    close: () => void calls.push('close'),
  };
  const options: HarnessOptions<'plain-process'> = {
    create: createPlainProcessOperator,
    functions: { kind: 'plain-process', process: process as never },
    nowMs: 5,
  };
  const harness = await OperatorHarness.open(options);
  await harness.watermark(40);
  await harness.process({ value: 1, timestamp: 50 });
  await harness.operator.close();
  expect(harness.outputs).toEqual([{ value: [1, 50, 40, 5], timestamp: 50, splitWatermark: Number.NaN }]);
  expect(calls).toEqual(['open 0', 'close']);
});

test('two inputs share the state of the subtask, and a throw goes by onError', async () => {
  const state = { seen: operatorListState<string>() };
  const process: CoProcessFunction<number, string, unknown, typeof state> = {
    state,
    onFirst(value, context) {
      if (value < 0) throw new Error('negative');
      context.state.seen.add(`first ${value}`);
    },
    onSecond: (value, context) => context.emit([value, ...context.state.seen.get()]),
  };
  const harness = await OperatorHarness.open({
    create: createPlainCoProcessOperator,
    functions: { kind: 'plain-co-process', process: process as never },
    config: { onError: 'skip' },
  });
  await harness.process({ value: 1 }, { value: -1 });
  await harness.processSecond({ value: 'x' });
  expect(harness.values).toEqual([['x', 'first 1']]);
  expect(harness.counter('skipped')).toBe(1);
});
