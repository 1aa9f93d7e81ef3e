/** Bytes of rows in segments: what was written last of a slot is there, whatever was dropped and moved around it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowLog } from './row-log.ts';

const mebibyte = 1024 * 1024;

function write(log: RowLog, slot: number, row: Uint8Array): void {
  log.drop(slot);
  log.beginRow(slot);
  // In pieces, as encoders write: a row goes on in the next segment when it does not fit.
  for (let at = 0; at < row.length; at += 5000) log.writeBytes(row.subarray(at, at + 5000));
  log.endRow();
}

const rowOf = (length: number, seed: number): Uint8Array => new Uint8Array(length).fill(seed % 251);

function expectRows(log: RowLog, rows: ReadonlyMap<number, Uint8Array>): void {
  for (const [slot, row] of rows) expect(Buffer.compare(log.bytesOf(slot), row)).toBe(0);
}

test('rows are the ones written last over random writes, drops and cleaning', () => {
  const length = fc.oneof(
    { weight: 6, arbitrary: fc.nat(400) },
    { weight: 3, arbitrary: fc.nat(90_000) },
    fc.nat(1_500_000),
  );
  const step = fc.record({ slot: fc.nat(40), length, drop: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const log = new RowLog();
      const rows = new Map<number, Uint8Array>();
      for (const [seed, { slot, length, drop }] of steps.entries()) {
        if (drop) {
          log.drop(slot);
          rows.delete(slot);
        } else {
          rows.set(slot, rowOf(length, seed));
          write(log, slot, rowOf(length, seed));
        }
        log.clean();
        expect(log.has(slot)).toBe(!drop);
      }
      expectRows(log, rows);
    }),
    { numRuns: 60 },
  );
});

test('a row that was begun and given up leaves nothing', () => {
  const log = new RowLog();
  write(log, 0, rowOf(10, 1));
  log.beginRow(1);
  log.writeBytes(rowOf(2 * mebibyte, 2));
  write(log, 2, rowOf(10, 3));
  expect(log.has(1)).toBe(false);
  expectRows(
    log,
    new Map([
      [0, rowOf(10, 1)],
      [2, rowOf(10, 3)],
    ]),
  );
});

test('rows behind one that is larger than a segment are found', () => {
  const log = new RowLog();
  const rows = new Map([[0, rowOf(mebibyte + 17, 0)]]);
  for (let slot = 1; slot < 40; slot++) rows.set(slot, rowOf(30_000, slot));
  for (const [slot, row] of rows) write(log, slot, row);
  expectRows(log, rows);
});

test('memory stays near twice the rows when rows are replaced in any order', () => {
  const log = new RowLog();
  const rows = new Map<number, Uint8Array>();
  const slots = 20_000;
  for (let turn = 0; turn < 200_000; turn++) {
    // Some rows are replaced all the time, others hardly ever.
    const slot = turn % 3 === 0 ? (turn * 7919) % slots : (turn * 31) % 500;
    const row = rowOf(100 + (turn % 200), turn);
    write(log, slot, row);
    rows.set(slot, row);
    if (turn % 500 === 0) log.clean();
  }
  let bytes = 0;
  for (const row of rows.values()) bytes += row.length + 8;
  expect(log.memoryBytes).toBeLessThan(2 * bytes + 8 * mebibyte);
  expectRows(log, rows);
});

test('memory is given back when all rows are dropped', () => {
  const log = new RowLog();
  for (let slot = 0; slot < 50_000; slot++) write(log, slot, rowOf(400, slot));
  expect(log.memoryBytes).toBeGreaterThan(19 * mebibyte);
  for (let slot = 0; slot < 50_000; slot++) log.drop(slot);
  expect(log.memoryBytes).toBeLessThan(6 * mebibyte);
});
