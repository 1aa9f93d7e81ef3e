import { describe, expect, test } from 'vitest';
import { CollectedResults, keptPerChannelMax, valueText } from './collected-results.ts';

describe('collected results', () => {
  test('are printed a line each, once, when a delivery is repeated', () => {
    const lines: string[] = [];
    const results = new CollectedResults((line) => lines.push(line));
    results.add('top', '1', [{ a: 1 }, 'x']);
    results.add('top', '1', [{ a: 1 }, 'x']);
    results.add('other', '1', [2n]);
    expect(lines).toEqual(['top: {"a":1}', 'top: "x"', 'other: 2n']);
  });

  test('are printed with the row when it is deleted, also one that was never shown', () => {
    const lines: string[] = [];
    const results = new CollectedResults((line) => lines.push(line));
    results.add('stock', 'table-1-0', [{ op: '-D', key: 'k', row: { article: 'shelf' } }]);
    expect(lines).toEqual(['stock: -D {"article":"shelf"}']);
    expect(results.toJson()).toEqual({ stock: [] });
  });

  test('are kept by channel when one JSON line is wanted, and counted when they are too many', () => {
    const results = new CollectedResults(null);
    results.add('few', '1', [1, Number.NaN]);
    results.add('many', '1', new Array(keptPerChannelMax + 5).fill(0));
    expect(results.toJson()).toMatchObject({ few: [1, 'NaN'], many: { dropped: 5 } });
  });

  test('are shown by the inspector when JSON would lose something', () => {
    expect(valueText(new Map([['k', new Date(0)]]))).toBe("Map(1) { 'k' => 1970-01-01T00:00:00.000Z }");
    expect(valueText({ a: undefined })).toBe('{ a: undefined }');
  });
});
