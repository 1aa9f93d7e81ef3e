/** Reads sources to their end the way the engine does: planner, then split after split, poll after poll. */
import type { PlainData, Source, SplitCursor } from '../../core/connector/index.ts';
import { recordedContext } from './connector-context.ts';
import type { ContextOverrides, RecordedContext } from './connector-context.ts';

/** All records left in a cursor, with the position after each of them. */
export async function drainCursor<T>(
  cursor: SplitCursor<T>,
  recordsMax = 512,
): Promise<{ values: T[]; positions: PlainData[] }> {
  const values: T[] = [];
  const positions: PlainData[] = [];
  let lastLength = 0;
  while (!cursor.ended) {
    const batch = cursor.poll(recordsMax);
    if (batch === null) {
      // Nothing was consumed: positions of the batch before must still mean the same records.
      if (positions.length > 0) positions[positions.length - 1] = cursor.position(lastLength);
      if (!cursor.ended) await cursor.ready();
      continue;
    }
    lastLength = batch.values.length;
    for (let index = 0; index < batch.values.length; index++) {
      values.push(batch.values[index] as T);
      positions.push(cursor.position(index + 1));
    }
  }
  return { values, positions };
}

/** The splits a fresh planner finds; for bounded sources. */
export async function planAll<T, Split>(source: Source<T, Split>, context: RecordedContext): Promise<Split[]> {
  const planner = source.createPlanner(context);
  const splits: Split[] = [];
  try {
    await planner.open(undefined);
    for (;;) {
      const planned = await planner.next();
      splits.push(...planned.splits);
      if (planned.done) return splits;
    }
  } finally {
    await planner.close();
  }
}

/** Every record of a bounded source, split after split. */
export async function drainSource<T, Split>(
  source: Source<T, Split>,
  overrides: ContextOverrides = {},
  recordsMax = 512,
): Promise<{ values: T[]; context: RecordedContext }> {
  const context = recordedContext(overrides);
  const reader = source.createReader(context);
  const values: T[] = [];
  try {
    for (const split of await planAll(source, context)) {
      const cursor = await reader.openSplit(split, undefined);
      try {
        values.push(...(await drainCursor(cursor, recordsMax)).values);
      } finally {
        await cursor.close();
      }
    }
  } finally {
    await reader.close();
  }
  return { values, context };
}
