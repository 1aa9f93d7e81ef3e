/**
 * The contract of a state backend as tests: run for every implementation (memory, cold in one thread, host thread). Two
 * parts: what `StateBackend` itself promises, and random sequences of keyed work, checkpoints and restores that must give
 * what a plain model gives, whatever the backend evicts in between.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import type { RowAddress, StateBackend } from './backend.ts';
import { keyedScript, runKeyedScript, tombstoneEvictedAndRevived } from './contract-script.test-support.ts';

export interface BackendContractOptions {
  /** Random sequences per property; default 60. */
  readonly runs?: number;
}

/** @param create a new, empty backend; closed by the suite */
export function testStateBackend(
  name: string,
  create: () => StateBackend | Promise<StateBackend>,
  options: BackendContractOptions = {},
): void {
  describe(`state backend: ${name}`, () => {
    testRows(create);
    test('keyed state equals the model over random work, checkpoints, aborts and restores', async () => {
      await fc.assert(
        fc.asyncProperty(keyedScript, async (script) => {
          const opened: StateBackend[] = [];
          try {
            await runKeyedScript(script, async () => {
              const backend = await create();
              opened.push(backend);
              return backend;
            });
          } finally {
            for (const backend of opened) await backend.close();
          }
        }),
        { numRuns: options.runs ?? 60, examples: [[tombstoneEvictedAndRevived]] },
      );
    });
  });
}

const value = (text: string): Uint8Array => new TextEncoder().encode(text);
const address = (key: string, overrides: Partial<RowAddress> = {}): RowAddress => ({
  operatorId: 'operator',
  stateName: 'state',
  keyGroup: 7,
  key: encodeKeyToBytes(key),
  ...overrides,
});

function testRows(create: () => StateBackend | Promise<StateBackend>): void {
  let backend: StateBackend;
  beforeEach(async () => {
    backend = await create();
  });
  afterEach(() => backend.close());

  test('a row is read as it was written last, fetched or blocking', async () => {
    if (backend.resident) return expect(backend.cachedRowsMax).toBe(Number.POSITIVE_INFINITY);
    expect(await backend.fetch([address('a')])).toEqual([undefined]);
    backend.write([
      { row: address('a'), value: value('1') },
      { row: address('b'), value: value('2') },
    ]);
    backend.write([{ row: address('a'), value: value('3') }]);
    expect(backend.readBlocking(address('a'))).toEqual(value('3'));
    expect(await backend.fetch([address('b'), address('none'), address('a')])).toEqual([
      value('2'),
      undefined,
      value('3'),
    ]);
    backend.write([{ row: address('a'), value: null }]);
    expect(await backend.fetch([address('a')])).toEqual([undefined]);
    expect(backend.readBlocking(address('a'))).toBeUndefined();
  });

  test('operators, states and key groups do not see the rows of others', async () => {
    if (backend.resident) return expect(backend.scanBlocking(address('a'))).toEqual([]);
    backend.write([{ row: address('a'), value: value('1') }]);
    for (const other of [{ operatorId: 'other' }, { stateName: 'other' }, { keyGroup: 8 }]) {
      expect(await backend.fetch([address('a', other)])).toEqual([undefined]);
      expect(backend.scanBlocking(address('a', other))).toEqual([]);
    }
  });

  test('a scan finds exactly the rows under a prefix, in key order', () => {
    if (backend.resident) return expect(backend.readBlocking(address('a'))).toBeUndefined();
    const under = (key: string, userKey: number): RowAddress => {
      const head = encodeKeyToBytes(key);
      const tail = encodeKeyToBytes(userKey);
      const bytes = new Uint8Array(head.length + tail.length);
      bytes.set(head);
      bytes.set(tail, head.length);
      return address(key, { key: bytes });
    };
    backend.write([3, -1, 200].map((userKey) => ({ row: under('a', userKey), value: value(String(userKey)) })));
    backend.write([{ row: under('ab', 0), value: value('other') }]);
    backend.write([{ row: address('a'), value: value('head') }]);
    const found = backend.scanBlocking(address('a'));
    expect(found.map((row) => new TextDecoder().decode(row.value))).toEqual(['head', '-1', '3', '200']);
    expect(found.map((row) => row.key)).toEqual([
      address('a').key,
      ...[-1, 3, 200].map((userKey) => under('a', userKey).key),
    ]);
  });

  test('a fetch sees what was written before it, not what comes after', async () => {
    if (backend.resident) return await expect(backend.fetch([address('a')])).rejects.toThrow('outside the slot');
    backend.write([{ row: address('a'), value: value('before') }]);
    const fetched = backend.fetch([address('a')]);
    backend.write([{ row: address('a'), value: value('after') }]);
    expect(await fetched).toEqual([value('before')]);
    expect(backend.readBlocking(address('a'))).toEqual(value('after'));
  });

  test('written bytes belong to the writer again after the call', async () => {
    if (backend.resident) return expect(backend.write([])).toBeUndefined();
    const bytes = value('kept');
    const row = address('a');
    backend.write([{ row, value: bytes }]);
    bytes.fill(0);
    row.key.fill(0);
    expect(await backend.fetch([address('a')])).toEqual([value('kept')]);
  });
}
