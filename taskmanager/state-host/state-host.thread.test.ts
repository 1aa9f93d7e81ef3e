/** The state host as a real worker thread, run from `dist/` (build first). */
import fc from 'fast-check';
import { Worker, type MessagePort } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import type { EngineError } from '../../core/errors.ts';
import type { RowAddress, StateBackend } from '../../runtime/state/backend.ts';
import { hostBackend, writeBytesInFlightMax, type HostBackendOptions } from './host-backend.ts';
import { startStateHost, type StateHost } from './state-host-client.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const address = (key: string, keyGroup = 1, stateName = 'rows'): RowAddress => ({
  operatorId: 'count',
  stateName,
  keyGroup,
  key: text(key),
});
const put = (key: string, value: string, keyGroup = 1): { row: RowAddress; value: Uint8Array } => ({
  row: address(key, keyGroup),
  value: text(value),
});
const slot = { jobName: 'job', attempt: 1, slotIndex: 0 };

let host: StateHost | null = null;
const open: { backend: StateBackend; port: MessagePort }[] = [];
const workers: Worker[] = [];

async function connect(of = slot, options: HostBackendOptions = {}): Promise<StateBackend> {
  host ??= await startStateHost();
  const { port, shared } = host.attachSlot(of);
  const backend = hostBackend(port, shared, options);
  open.push({ backend, port });
  return backend;
}

afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.terminate();
  for (const { backend } of open.splice(0)) await backend.close();
  await host?.stop();
  host = null;
});

/** A slot in a thread of its own: runs `body` with its backend and reports what it returns or throws. */
async function slotThread(
  of: typeof slot,
  body: string,
  options: HostBackendOptions = {},
): Promise<{ reply: Promise<unknown> }> {
  host ??= await startStateHost();
  const { port, shared } = host.attachSlot(of);
  const module = new URL('../../dist/taskmanager/state-host/host-backend.js', import.meta.url).href;
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(async ({ hostBackend }) => {
      const backend = hostBackend(workerData.port, workerData.shared, workerData.options);
      const address = (key) => ({ operatorId: 'count', stateName: 'rows', keyGroup: 1, key: Buffer.from(key) });
      const report = (message) => parentPort.postMessage(message);
      try { report({ value: await (async () => { ${body} })() }); } catch (error) { report({ code: error.code, message: error.message }); }
    });`;
  const worker = new Worker(code, {
    eval: true,
    execArgv: [],
    workerData: { module, port, shared, options },
    transferList: [port],
  });
  workers.push(worker);
  return {
    reply: new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    }),
  };
}

describe('the host backend', () => {
  test('returns what was written, in order of the asked rows, and undefined for what is absent', async () => {
    const backend = await connect();
    backend.write([put('a', '1'), put('b', ''), put('c', '3'), { row: address('c'), value: null }]);
    expect(
      await backend.fetch([address('b'), address('c'), address('a'), address('a', 2), address('a', 1, 'timers')]),
    ).toEqual([text(''), undefined, text('1'), undefined, undefined]);
    expect(await backend.fetch([])).toEqual([]);
    expect(backend.readBlocking(address('a'))).toEqual(text('1'));
    expect(backend.readBlocking(address('c'))).toBeUndefined();
    expect(backend).toMatchObject({ resident: false, cachedRowsMax: 100 });
  });

  test('scans the rows below a prefix in order of their bytes, of this key group only', async () => {
    const backend = await connect();
    const key = (...bytes: number[]): RowAddress => ({ ...address(''), key: Uint8Array.from(bytes) });
    const rows = [[1, 255], [1], [1, 0, 7], [2], [1, 128], [0, 1]].map((bytes) => ({
      row: key(...bytes),
      value: Uint8Array.from(bytes),
    }));
    backend.write([...rows, put('\u0001x', 'other group', 2)]);
    expect(backend.scanBlocking(key(1)).map((row) => [...row.key])).toEqual([[1], [1, 0, 7], [1, 128], [1, 255]]);
    expect(backend.scanBlocking(key(1)).map((row) => [...row.value])).toEqual([[1], [1, 0, 7], [1, 128], [1, 255]]);
    expect(backend.scanBlocking(key(9))).toEqual([]);
  });

  test('a blocking read sees the writes before it and neither loses nor reorders answers to fetches that are queued', async () => {
    const backend = await connect();
    const order: string[] = [];
    const fetches: Promise<unknown>[] = [];
    for (let index = 0; index < 50; index++) {
      backend.write([put('a', String(index))]);
      fetches.push(backend.fetch([address('a')]).then(([value]) => order.push(Buffer.from(value ?? []).toString())));
      backend.write([put('b', String(index))]);
      expect(backend.readBlocking(address('b'))).toEqual(text(String(index)));
    }
    await Promise.all(fetches);
    expect(order).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
  });

  test('every read returns what a map would, whatever the order of writes, fetches, reads and scans', async () => {
    const key = fc.constantFrom('', 'a', 'ab', 'b', 'bä');
    const operation = fc.oneof(
      fc.record({
        kind: fc.constant('write' as const),
        rows: fc.array(fc.tuple(key, fc.option(fc.string({ maxLength: 8 }))), { maxLength: 4 }),
      }),
      fc.record({ kind: fc.constant('fetch' as const), keys: fc.array(key, { maxLength: 4 }) }),
      fc.record({ kind: fc.constantFrom('read' as const, 'scan' as const), key }),
    );
    const backend = await connect();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
        const state = `run ${run++}`;
        const model = new Map<string, string>();
        const bytesOf = (name: string): Uint8Array | undefined =>
          model.has(name) ? text(model.get(name) as string) : undefined;
        const checks: Promise<void>[] = [];
        for (const each of operations) {
          if (each.kind === 'write') {
            backend.write(
              each.rows.map(([name, value]) => ({
                row: address(name, 1, state),
                value: value === null ? null : text(value),
              })),
            );
            for (const [name, value] of each.rows) value === null ? model.delete(name) : model.set(name, value);
          } else if (each.kind === 'fetch') {
            const expected = each.keys.map(bytesOf);
            checks.push(
              backend
                .fetch(each.keys.map((name) => address(name, 1, state)))
                .then((found) => expect(found).toEqual(expected)),
            );
          } else if (each.kind === 'read') {
            expect(backend.readBlocking(address(each.key, 1, state))).toEqual(bytesOf(each.key));
          } else {
            const expected = [...model.keys()]
              .filter((name) => name.startsWith(each.key))
              .sort((a, b) => Buffer.compare(text(a), text(b)));
            expect(
              backend.scanBlocking(address(each.key, 1, state)).map((row) => Buffer.from(row.key).toString()),
            ).toEqual(expected);
          }
        }
        await Promise.all(checks);
      }),
      { numRuns: 60 },
    );
  });

  test('waits for the host when more writes are under way than it may hold', async () => {
    const backend = await connect();
    const value = new Uint8Array(1024 * 1024);
    for (let index = 0; index < (writeBytesInFlightMax / value.length) * 2; index++)
      backend.write([{ row: address(`${index}`), value }]);
    expect((await backend.fetch([address('0'), address('31')])).map((found) => found?.length)).toEqual([
      value.length,
      value.length,
    ]);
  });

  test('refuses an older attempt and keeps what the newer one wrote', async () => {
    const failures: EngineError[] = [];
    const older = await connect({ ...slot, attempt: 1 }, { onFailed: (error) => failures.push(error) });
    older.write([put('a', 'old')]);
    expect(older.readBlocking(address('a'))).toEqual(text('old'));
    const newer = await connect({ ...slot, attempt: 2 });
    expect(newer.readBlocking(address('a'))).toBeUndefined();
    newer.write([put('a', 'new')]);
    expect(newer.readBlocking(address('a'))).toEqual(text('new'));
    older.write([put('a', 'late')]);
    expect(() => older.readBlocking(address('a'))).toThrow(expect.objectContaining({ code: 'STALE_EPOCH' }));
    await expect(older.fetch([address('a')])).rejects.toMatchObject({
      code: 'STALE_EPOCH',
      message: expect.stringContaining('newest attempt of this slot is 2'),
    });
    expect(() => older.write([put('a', 'later')])).toThrow(expect.objectContaining({ code: 'STALE_EPOCH' }));
    expect(failures).toHaveLength(1);
    await older.close();
    expect(newer.readBlocking(address('a'))).toEqual(text('new'));
    const stale = await connect({ ...slot, attempt: 1 });
    await expect(stale.fetch([address('a')])).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  });

  test('keeps slots and jobs apart', async () => {
    const [first, second, third] = [
      await connect(),
      await connect({ ...slot, slotIndex: 1 }),
      await connect({ ...slot, jobName: 'other' }),
    ];
    first.write([put('a', '1')]);
    second.write([put('a', '2')]);
    expect([first, second, third].map((backend) => backend.readBlocking(address('a')))).toEqual([
      text('1'),
      text('2'),
      undefined,
    ]);
  });

  test('serves slots in threads of their own that block at the same time', async () => {
    const body = `
      let sum = 0;
      for (let index = 0; index < 300; index++) {
        backend.write([{ row: address('a'), value: Buffer.from(String(index)) }]);
        sum += Number(Buffer.from(backend.readBlocking(address('a'))).toString());
      }
      await backend.close();
      return sum;`;
    const threads = await Promise.all([0, 1, 2].map((slotIndex) => slotThread({ ...slot, slotIndex }, body)));
    expect(await Promise.all(threads.map((thread) => thread.reply))).toEqual(Array(3).fill({ value: (299 * 300) / 2 }));
  });

  test('wakes a slot with an error when the host ends while the slot reads', async () => {
    const reading = await slotThread(slot, `for (;;) backend.readBlocking(address('a'));`);
    const reached = await connect({ ...slot, slotIndex: 1 });
    await reached.fetch([]);
    await host?.stop();
    expect(await reading.reply).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('state host thread is gone'),
    });
    await expect(reached.fetch([address('a')])).rejects.toMatchObject({ code: 'INTERNAL' });
    const late = await connect();
    expect(() => late.readBlocking(address('a'))).toThrow(/state host thread is gone/);
  });

  test('gives up a blocking read at its deadline when the host does not answer', async () => {
    // The host's end of this connection is never attached to a host.
    const { port1, port2 } = new (await import('node:worker_threads')).MessageChannel();
    const failures: EngineError[] = [];
    const backend = hostBackend(port1, new SharedArrayBuffer(8), {
      blockingTimeoutMs: 20,
      onFailed: (error) => failures.push(error),
    });
    expect(() => backend.readBlocking(address('a'))).toThrow(/has not answered for 20 ms/);
    expect(failures).toHaveLength(1);
    await backend.close();
    port2.close();
  });

  test('rejects what is asked after close', async () => {
    const backend = await connect();
    backend.write([put('a', '1')]);
    const before = backend.fetch([address('a')]);
    await backend.close();
    expect(await before).toEqual([text('1')]);
    await expect(backend.fetch([address('a')])).rejects.toMatchObject({ code: 'CANCELED' });
    expect(() => backend.readBlocking(address('a'))).toThrow(expect.objectContaining({ code: 'CANCELED' }));
  });
});
