import { describe, expect, it } from 'vitest';
import { compileResults, type ResultField } from './aggregate-results.ts';

const part = (name: string, index: number): ResultField => ({ name, kind: 'part', index });
const middle = { create: () => [], add: () => [], result: (values: number[]) => values[1] } as never;

describe('compileResults', () => {
  it('makes plain objects with the lead and the aggregates in order when names are ordinary', () => {
    const fields: ResultField[] = [
      part('count', 0),
      { name: 'mean', kind: 'avg', index: 1 },
      { name: 'middle', kind: 'object', index: 0 },
    ];
    const make = compileResults(3, fields, [middle]);
    const result = make(Float64Array.of(9, 9, 4, 10, 4), 2, [[[], [7, 8, 9]]], 1, 'k', 100, 200);
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect(Object.entries(result)).toEqual([
      ['key', 'k'],
      ['windowStart', 100],
      ['windowEnd', 200],
      ['count', 4],
      ['mean', 2.5],
      ['middle', 8],
    ]);
  });

  it('has the key alone as lead when the aggregation is rolling', () => {
    expect(compileResults(1, [part('sum', 0)], [])(Float64Array.of(3), 0, [], 0, 'k', Number.NaN, Number.NaN)).toEqual({
      key: 'k',
      sum: 3,
    });
  });

  it.each([['__proto__'], ['toString'], ["'];process.exit();['"], ['\u2028']])(
    'gives an own field when an aggregate is named %j',
    (name) => {
      const result = compileResults(1, [part(name, 1)], [])(
        Float64Array.of(3, 4),
        0,
        [],
        0,
        'k',
        Number.NaN,
        Number.NaN,
      );
      expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
      expect(Object.entries(result)).toEqual([
        ['key', 'k'],
        [name, 4],
      ]);
    },
  );

  it.each([['key'], ['__proto__']])(
    'keeps the place of the lead when the aggregate %s has its name or is odd',
    (name) => {
      const result = compileResults(1, [part(name, 0), part('key', 1)], [])(
        Float64Array.of(1, 2),
        0,
        [],
        0,
        'k',
        Number.NaN,
        Number.NaN,
      );
      expect(result['key']).toBe(2);
      expect(Object.keys(result)[0]).toBe('key');
    },
  );

  it('makes all fields when there are more than code is generated for', () => {
    const fields = Array.from({ length: 150 }, (_, index) => part(`field${index}`, index));
    const result = compileResults(1, fields, [])(
      Float64Array.from({ length: 150 }, (_, index) => index),
      0,
      [],
      0,
      'k',
      Number.NaN,
      Number.NaN,
    );
    expect(Object.values(result)).toEqual(['k', ...Array.from({ length: 150 }, (_, index) => index)]);
  });
});
