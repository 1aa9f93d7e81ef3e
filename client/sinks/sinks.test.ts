import { describe, expect, test } from 'vitest';
import type { ConnectorContext } from '../../core/connector/index.ts';
import { collectSink } from './collect.ts';

interface Delivery {
  channel: string;
  id: string;
  values: readonly unknown[];
}

/** A context that keeps what is delivered, once per id, as the engine does. */
function contextWith(deliveries: Delivery[]): ConnectorContext {
  const seen = new Set<string>();
  return {
    jobName: 'job',
    operatorId: 'out',
    subtaskIndex: 0,
    parallelism: 1,
    attempt: 1,
    workingDirectory: '/',
    logger: { info: () => {}, warn: () => {} },
    signal: new AbortController().signal,
    count: () => {},
    deliver: (channel, id, values) => {
      if (!seen.has(id)) deliveries.push({ channel, id, values });
      seen.add(id);
    },
  };
}

describe('the collect sink', () => {
  test('delivers each record once when a commit is repeated', async () => {
    const deliveries: Delivery[] = [];
    const context = contextWith(deliveries);
    const sink = collectSink<number>('results');
    const writer = sink.createWriter(context);
    await writer.open([]);
    for (const value of [1, 2]) writer.write(value, Number.NaN, 0);
    const first = await writer.prepareCommit(7, false);
    writer.write(3, Number.NaN, 0);
    const second = await writer.prepareCommit(8, true);
    const committables = [first, second].flatMap(({ committables: data }, index) => data.map((one) => ({ checkpointId: 7 + index, subtaskIndex: 2, data: one })));
    const committer = sink.createCommitter?.(context);
    await committer?.commit(committables);
    await committer?.commit(committables);
    expect(deliveries).toEqual([
      { channel: 'results', id: '7-2', values: [1, 2] },
      { channel: 'results', id: '8-2', values: [3] },
    ]);
  });

  test('hands over nothing when nothing was written', async () => {
    const writer = collectSink('results').createWriter(contextWith([]));
    expect(await writer.prepareCommit(1, false)).toEqual({ committables: [], state: [] });
  });
});
