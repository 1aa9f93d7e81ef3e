/** Rows that rest: objects while they are asked for, stored form after that, and the same to whoever looks. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { forEachRow, RowBlockWriter } from '../checkpoint/row-block.ts';
import { memoryBackend } from './backend.ts';
import { ChangeLedger } from './change-ledger.ts';
import { type LiveForm, LiveTable } from './live-table.ts';
import type { TableOwner } from './row-table.ts';

interface Kept {
  value: unknown;
}

const form: LiveForm<Kept> = {
  create: () => ({ value: null }),
  toPlain: ({ value }) => value,
  fromPlain: (value) => ({ value }),
};

function owner(objectsMin: number): TableOwner {
  return {
    operatorId: 'operator',
    maxParallelism: 4,
    keyGroups: { first: 0, last: 3 },
    backend: { ...memoryBackend, objectsMin },
    ledger: new ChangeLedger('operator'),
  };
}

function tableOf(objectsMin: number): LiveTable<Kept> {
  return new LiveTable(owner(objectsMin), 'state', form, { rests: true });
}

function keep(table: LiveTable<Kept>, key: number, value: unknown = `value ${key}`): Kept {
  const kept = table.change(key);
  kept.value = value;
  return kept;
}

/** Values of a checkpoint, by their bytes. */
function checkpoint(table: LiveTable<Kept>, checkpointId: number): string[] {
  const values: string[] = [];
  const writer = new RowBlockWriter(({ bytes }) =>
    forEachRow(bytes, (_keyGroup, _key, value) => values.push(Buffer.from(value ?? []).toString('latin1'))),
  );
  table.ledger.freeze(checkpointId)?.encode(writer, Number.POSITIVE_INFINITY);
  writer.flush();
  return values.sort();
}

describe('rows that rest', () => {
  test('are read, changed, replaced and deleted as rows that are objects', () => {
    const table = tableOf(0);
    for (let key = 0; key < 5; key++) keep(table, key);
    table.rest(100);
    expect(table.stored(0)).not.toBeNull();
    expect(table.peek(0)).toEqual({ value: 'value 0' });
    table.change(1).value = 'changed';
    table.renew(2).value = 'new';
    table.delete(3);
    for (let turn = 0; turn < 2; turn++) {
      expect([0, 1, 2, 3, 4, 5].map((key) => table.peek(key)?.value)).toEqual([
        'value 0',
        'changed',
        'new',
        undefined,
        'value 4',
        undefined,
      ]);
      table.rest(100);
    }
  });

  test('are in a checkpoint as if they were objects, those changed after its barrier as they were', () => {
    const [resting, awake] = [tableOf(0), tableOf(1000)];
    for (const table of [resting, awake]) for (let key = 0; key < 50; key++) keep(table, key);
    resting.rest(1000);
    const sets = [resting, awake].map((table) => {
      const set = table.ledger.freeze(1);
      for (let key = 0; key < 50; key += 3) table.change(key).value = 'later';
      table.delete(1);
      table.rest(1000);
      const values: string[] = [];
      const writer = new RowBlockWriter(({ bytes }) =>
        forEachRow(bytes, (_group, _key, value) => values.push(Buffer.from(value ?? []).toString('latin1'))),
      );
      set?.encode(writer, Number.POSITIVE_INFINITY);
      writer.flush();
      return values.sort();
    });
    expect(sets[0]).toHaveLength(50);
    expect(sets[0]).toEqual(sets[1]);
    expect(checkpoint(resting, 2)).toEqual(checkpoint(awake, 2));
  });

  test('stay objects in the number asked for, the ones asked for last', () => {
    const table = tableOf(10);
    const objects = Array.from({ length: 30 }, (_, key) => keep(table, key));
    table.peek(0);
    table.rest(1000);
    expect(objects.filter((object, key) => table.stored(key) === null && table.peek(key) === object)).toHaveLength(10);
    expect(table.stored(0)).toBeNull();
    expect(table.stored(1)).not.toBeNull();
  });

  test('stay objects in a larger number when they are asked for again and again', () => {
    const table = tableOf(10);
    const keys = 200;
    for (let round = 0; round < 20; round++) {
      for (let key = 0; key < keys; key++) {
        keep(table, key);
        table.rest(1);
      }
    }
    const objects = Array.from({ length: keys }, (_, key) => table.peek(key));
    table.rest(1000);
    expect(objects.every((object, key) => table.peek(key) === object)).toBe(true);
  });

  test('stay objects when they cannot be stored, and the checkpoint says why', () => {
    const table = tableOf(0);
    const kept = keep(table, 7, () => 1);
    table.rest(10);
    expect(table.peek(7)).toBe(kept);
    expect(() => checkpoint(table, 1)).toThrow(/state 'state' of operator 'operator', key 7.*function/s);
    keep(table, 7, 'better');
    expect(checkpoint(table, 2)).toHaveLength(1);
  });

  test('are not objects after a restore until they are asked for', () => {
    const from = tableOf(0);
    keep(from, 3, { text: 'kept' });
    from.rest(10);
    const row = Uint8Array.from(from.stored(3) as Uint8Array);
    const table = tableOf(1000);
    table.restoreRow(3, table.keyGroupOf(3), Uint8Array.of(1, 1, 0x80));
    table.restoreRow(3, table.keyGroupOf(3), row);
    expect(table.stored(3)).toEqual(row);
    expect(table.peek(3)).toEqual({ value: { text: 'kept' } });
    expect(() => table.restoreRow(4, table.keyGroupOf(4), Uint8Array.of(9))).toThrow(/layout version 9/);
  });

  test('leave nothing on the heap', () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const table = tableOf(0);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let key = 0; key < 20_000; key++) {
      keep(table, key, { id: key, text: `${'x'.repeat(300)}${key}` });
      if (key % 100 === 0) table.rest(1000);
    }
    table.rest(1000);
    collectGarbage();
    expect((process.memoryUsage().heapUsed - before) / 20_000).toBeLessThan(60);
    expect(table.peek(19_999)?.value).toMatchObject({ id: 19_999 });
  });
});
