import { describe, expect, test, vi } from 'vitest';
import { type ConnectorContext, Secret } from '../../core/connector/index.ts';
import { collectSink } from './collect.ts';
import { collectTableSink } from './collect-table.ts';
import { printSink } from './print.ts';

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
    secret: (text) => new Secret(text),
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
    const committables = [first, second].flatMap(({ committables: data }, index) =>
      data.map((one) => ({ checkpointId: 7 + index, subtaskIndex: 2, data: one })),
    );
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

describe('the collect sink with a key', () => {
  test('hands over the last change of each key of a checkpoint', async () => {
    const deliveries: Delivery[] = [];
    const context = contextWith(deliveries);
    const sink = collectTableSink<{ id: number; n: number }>('table', (row) => row.id);
    const writer = sink.createWriter(context);
    await writer.open([]);
    const changes: [number, number, number][] = [
      [1, 1, 0],
      [2, 1, 0],
      [1, 1, 1],
      [1, 2, 2],
      [2, 1, 3],
    ];
    for (const [id, n, kind] of changes) writer.write({ id, n }, Number.NaN, kind);
    const { committables } = await writer.prepareCommit(3, false);
    expect(await writer.prepareCommit(4, true)).toEqual({ committables: [], state: [] });
    await sink
      .createCommitter?.(context)
      .commit(committables.map((data) => ({ checkpointId: 3, subtaskIndex: 0, data })));
    expect(deliveries).toHaveLength(1);
    expect(deliveries[0]).toMatchObject({
      channel: 'table',
      id: 'table-3-0',
      values: [
        { op: '+U', row: { id: 1, n: 2 } },
        { op: '-D', row: { id: 2, n: 1 } },
      ],
    });
  });
});

describe('the print sink', () => {
  /** Runs `write` with standard output kept instead of shown. */
  async function outputOf(write: () => Promise<void>): Promise<string> {
    let text = '';
    const spy = vi
      .spyOn(process.stdout, 'write')
      .mockImplementation((chunk, encodingOrDone?: unknown, done?: (error?: Error | null) => void) => {
        text += String(chunk);
        (typeof encodingOrDone === 'function' ? (encodingOrDone as (error?: Error | null) => void) : done)?.(null);
        return true;
      });
    try {
      await write();
    } finally {
      spy.mockRestore();
    }
    return text;
  }

  test('writes a line of JSON per record in order when a checkpoint comes', async () => {
    const text = await outputOf(async () => {
      const writer = printSink<unknown>('>').createWriter(contextWith([]));
      for (const value of [{ a: 1, b: [2n] }, 'x\ny', undefined]) writer.write(value, Number.NaN, 0);
      await writer.prepareCommit(1, true);
    });
    expect(text).toBe('> {"a":1,"b":["2"]}\n> "x\\ny"\n> undefined\n');
  });

  test('begins each line with what happened when the stream is one of changes', async () => {
    const text = await outputOf(async () => {
      const writer = printSink<number>('', true).createWriter(contextWith([]));
      for (const kind of [0, 1, 2, 3]) writer.write(7, Number.NaN, kind);
      await writer.prepareCommit(1, true);
    });
    expect(text).toBe('+I 7\n-U 7\n+U 7\n-D 7\n');
  });

  test('loses nothing when more is written than its buffer holds', async () => {
    const line = 'x'.repeat(1000);
    const text = await outputOf(async () => {
      const writer = printSink<string>('').createWriter(contextWith([]));
      for (let index = 0; index < 500; index++) {
        if (!writer.hasRoom) await writer.drained();
        writer.write(`${index}${line}`, Number.NaN, 0);
      }
      await writer.prepareCommit(1, true);
    });
    expect(text).toBe(Array.from({ length: 500 }, (_, index) => `"${index}${line}"\n`).join(''));
  });

  test('keeps the first error when standard output is closed', async () => {
    const spy = vi.spyOn(process.stdout, 'write').mockImplementation((_chunk, done?: unknown) => {
      (done as (error: Error) => void)(new Error('EPIPE'));
      return false;
    });
    try {
      const writer = printSink<string>('').createWriter(contextWith([]));
      writer.write('x', Number.NaN, 0);
      await expect(writer.prepareCommit(1, false)).rejects.toThrow('EPIPE');
      expect(writer.hasRoom).toBe(false);
      await expect(writer.drained()).rejects.toThrow('EPIPE');
    } finally {
      spy.mockRestore();
    }
  });
});
