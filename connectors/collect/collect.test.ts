import { describe, expect, it } from 'vitest';
import type { Committable } from '../../core/connector/index.ts';
import { recordedContext } from '../testing/connector-context.ts';
import { collect } from './index.ts';

async function prepared(values: readonly unknown[], checkpointId: number, subtaskIndex = 0): Promise<Committable[]> {
  const writer = collect('results').createWriter(recordedContext({ subtaskIndex }));
  await writer.open([]);
  for (const value of values) writer.write(value, Number.NaN, 0);
  const { committables } = await writer.prepareCommit(checkpointId, false);
  return structuredClone(committables.map((data) => ({ checkpointId, subtaskIndex, data })));
}

describe('collect', () => {
  it('delivers every value once and in order when commits are repeated', async () => {
    const values = Array.from({ length: 25_000 }, (_, index) => index);
    const first = await prepared(values, 1);
    const second = await prepared(['b'], 2);
    const context = recordedContext();
    const committer = collect('results').createCommitter?.(context);
    await committer?.commit([...second, ...first]);
    await committer?.commit(first);
    await committer?.commit(second);
    expect(context.deliveries.every(({ channel }) => channel === 'results')).toBe(true);
    expect(context.deliveries.flatMap((delivery) => delivery.values)).toEqual([...values, 'b']);
  });

  it('gives ids of their own to writers and sinks when they commit the same checkpoint', async () => {
    const context = recordedContext();
    const other = recordedContext({ operatorId: 'other' });
    await collect('results').createCommitter?.(context).commit([...(await prepared(['a'], 1, 0)), ...(await prepared(['b'], 1, 1))]);
    await collect('results').createCommitter?.(other).commit(await prepared(['c'], 1, 0));
    const ids = [...context.deliveries, ...other.deliveries].map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
  });

  it('hands over nothing twice when barriers follow each other', async () => {
    const writer = collect('results').createWriter(recordedContext());
    writer.write('a', Number.NaN, 0);
    expect((await writer.prepareCommit(1, false)).committables).toHaveLength(1);
    expect((await writer.prepareCommit(2, true)).committables).toHaveLength(0);
  });

  it('fails and names the way out when results do not fit memory', async () => {
    const writer = collect('results').createWriter(recordedContext());
    for (let count = 0; count < 1_000_000; count++) writer.write(count, Number.NaN, 0);
    expect(() => writer.write(0, Number.NaN, 0)).toThrow(expect.objectContaining({ code: 'RECORD_TOO_LARGE', message: expect.stringContaining('files.jsonl') }));
  });
});
