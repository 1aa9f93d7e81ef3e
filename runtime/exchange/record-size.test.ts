import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { approximateRecordBytes } from './record-size.ts';

describe('record size', () => {
  it('is within a factor of three of JSON when records are plain', () => {
    const record = fc.record({
      id: fc.uuid(),
      price: fc.double({ noNaN: true }),
      tags: fc.array(fc.uuid(), { minLength: 1, maxLength: 300 }),
    });
    fc.assert(
      fc.property(record, (value) => {
        const json = JSON.stringify(value).length;
        const estimate = approximateRecordBytes(value);
        expect(estimate).toBeGreaterThan(json / 3);
        expect(estimate).toBeLessThan(json * 3);
      }),
    );
  });

  it('ends when a value is cyclic or wide at every level', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    cyclic['again'] = [cyclic, cyclic, cyclic];
    expect(approximateRecordBytes(cyclic)).toBeGreaterThan(0);
  });

  it('scales samples when collections are long', () => {
    expect(approximateRecordBytes(new Array(1_000_000).fill(7))).toBeGreaterThan(7_000_000);
    expect(approximateRecordBytes(new Map(Array.from({ length: 10_000 }, (_, i) => [i, i])))).toBeGreaterThan(150_000);
    expect(approximateRecordBytes(new Uint8Array(5000))).toBeGreaterThanOrEqual(5000);
    expect(approximateRecordBytes([new Date(), null, undefined, true, 5n, new Set()])).toBeLessThan(100);
  });
});
