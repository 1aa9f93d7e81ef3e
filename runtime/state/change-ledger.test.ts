import { describe, expect, test } from 'vitest';
import { forEachRow, type RowBlock, RowBlockWriter } from '../checkpoint/row-block.ts';
import type { SnapshotTask } from '../operators/operator.ts';
import { memoryBackend } from './backend.ts';
import { ChangeLedger } from './change-ledger.ts';
import { ObjectTable } from './object-table.ts';
import { decodeKey } from '../../core/codec/key-codec.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';

function newTable(): { table: ObjectTable; ledger: ChangeLedger } {
  const ledger = new ChangeLedger('operator');
  const owner = {
    operatorId: 'operator',
    maxParallelism: 4,
    keyGroups: { first: 0, last: 3 },
    backend: memoryBackend,
    ledger,
  };
  return { table: new ObjectTable(owner, 'state'), ledger };
}

/** Rows of a frozen set as key → value, null for tombstones. */
function rowsOf(task: SnapshotTask | null): Map<Key, unknown> {
  const blocks: RowBlock[] = [];
  const writer = new RowBlockWriter((block) => blocks.push(block), 256);
  for (let done = task === null; !done; ) done = task?.encode(writer, Number.POSITIVE_INFINITY) ?? true;
  writer.flush();
  const rows = new Map<Key, unknown>();
  for (const block of blocks) {
    forEachRow(block.bytes, (_group, key, value) => {
      expect(rows.has(decodeKey(key).key)).toBe(false);
      rows.set(decodeKey(key).key, value === null ? null : decodeValue(value, 1));
    });
  }
  return rows;
}

describe('change ledger', () => {
  test('writes only what changed since the last complete checkpoint', () => {
    const { table, ledger } = newTable();
    table.set('a', 1);
    table.set('b', 1);
    expect(rowsOf(ledger.freeze(1))).toEqual(
      new Map([
        ['a', 1],
        ['b', 1],
      ]),
    );
    ledger.completed(1);
    table.set('b', 2);
    expect(rowsOf(ledger.freeze(2))).toEqual(new Map([['b', 2]]));
    ledger.completed(2);
    expect(ledger.freeze(3)).toBeNull();
  });

  test('repeats the rows of an aborted checkpoint with their present contents', () => {
    const { table, ledger } = newTable();
    table.set('a', 1);
    table.set('b', 1);
    const first = ledger.freeze(1);
    table.set('b', 2);
    ledger.aborted(1);
    expect(first?.encode(new RowBlockWriter(() => undefined), Number.POSITIVE_INFINITY)).toBe(true);
    expect(rowsOf(ledger.freeze(2))).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    );
  });

  test('repeats the rows of a checkpoint whose end is not known at the next barrier', () => {
    const { table, ledger } = newTable();
    table.set('a', 1);
    const first = ledger.freeze(1);
    table.set('b', 1);
    const second = ledger.freeze(2);
    expect(rowsOf(second)).toEqual(
      new Map([
        ['a', 1],
        ['b', 1],
      ]),
    );
    expect(rowsOf(first)).toEqual(new Map([['a', 1]]));
    ledger.aborted(1);
    ledger.completed(2);
    expect(ledger.freeze(3)).toBeNull();
  });

  test('writes a tombstone for a row some checkpoint may have and nothing for one that none has', () => {
    const { table, ledger } = newTable();
    table.set('kept', 1);
    table.set('never frozen', 1);
    table.delete('never frozen');
    expect(rowsOf(ledger.freeze(1))).toEqual(new Map([['kept', 1]]));
    ledger.aborted(1);
    table.delete('kept');
    expect(rowsOf(ledger.freeze(2))).toEqual(new Map([['kept', null]]));
    ledger.completed(2);
    expect(table.usedCount).toBe(0);
  });

  test('lists a row once however many checkpoints in a row are aborted', () => {
    const { table, ledger } = newTable();
    for (let checkpointId = 1; checkpointId <= 50; checkpointId++) {
      table.set('a', checkpointId);
      const frozen = ledger.freeze(checkpointId);
      expect(rowsOf(frozen)).toEqual(new Map([['a', checkpointId]]));
      ledger.aborted(checkpointId);
    }
    table.set('a', 51);
    const frozen = ledger.freeze(51) as unknown as { segments: readonly { length: number }[] };
    expect(frozen.segments.reduce((sum, segment) => sum + segment.length, 0)).toBe(1);
  });

  test('keeps the contents of its barrier while rows change between slices', () => {
    const { table, ledger } = newTable();
    for (let key = 0; key < 500; key++) table.set(key, 'before');
    const frozen = ledger.freeze(1);
    const blocks: RowBlock[] = [];
    const writer = new RowBlockWriter((block) => blocks.push(block), 256);
    let slices = 0;
    while (frozen?.encode(writer, 0) === false) {
      slices++;
      for (let key = slices % 7; key < 500; key += 7) table.set(key, 'after');
    }
    writer.flush();
    expect(slices).toBeGreaterThan(3);
    const rows = new Map<Key, unknown>();
    for (const block of blocks)
      forEachRow(block.bytes, (_group, key, value) =>
        rows.set(decodeKey(key).key, decodeValue(value as Uint8Array, 1)),
      );
    expect(rows.size).toBe(500);
    expect(new Set(rows.values())).toEqual(new Set(['before']));
  });
});
