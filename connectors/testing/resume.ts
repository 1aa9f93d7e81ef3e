/** The law every cursor keeps: opened at the position after any record, it continues with the very next one. */
import { expect } from 'vitest';
import type { PlainData, Source } from '../../core/connector/index.ts';
import type { ContextOverrides } from './connector-context.ts';
import { recordedContext } from './connector-context.ts';
import { drainCursor, planAll } from './drain.ts';

/** Opens every split at every position it ever gives, as after a kill, and compares what follows. Returns all records. */
export async function expectExactResume<T, Split>(
  source: Source<T, Split>,
  overrides: ContextOverrides = {},
  recordsMax = 3,
): Promise<T[]> {
  const context = recordedContext(overrides);
  const all: T[] = [];
  for (const split of await planAll(source, context)) {
    const open = async (position: PlainData | undefined): Promise<{ values: T[]; positions: PlainData[] }> => {
      // What a checkpoint keeps is a copy, never the object itself.
      const cursor = await source.createReader(context).openSplit(structuredClone(split), structuredClone(position));
      try {
        return await drainCursor(cursor, recordsMax);
      } finally {
        await cursor.close();
      }
    };
    const { values, positions } = await open(undefined);
    for (let consumed = 0; consumed < positions.length; consumed++) {
      expect((await open(positions[consumed])).values, `after record ${consumed}`).toEqual(values.slice(consumed + 1));
    }
    all.push(...values);
  }
  return all;
}
