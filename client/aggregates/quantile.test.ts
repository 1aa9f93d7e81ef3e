import { DDSketch } from '@datadog/sketches-js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drive } from './drive.test-support.ts';
import { nearestRank } from './nearest-rank.ts';
import { quantile } from './quantile.ts';
import { quantileSketch } from './quantile-sketch.ts';

const probability = fc.integer({ min: 1, max: 1000 }).map((thousandths) => thousandths / 1000);
const identity = (value: number): number => value;

/** The definition, slowly: the smallest number that at least p of all do not exceed; p in thousandths, so in whole numbers. */
function naiveQuantile(p: number, values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const thousandths = Math.round(p * 1000);
  return sorted.find((_value, index) => (index + 1) * 1000 >= thousandths * sorted.length) as number;
}

const wholeNumbers = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 60 });

describe('nearest rank', () => {
  test('is exact when float64 multiplication is not', () => {
    expect(0.07 * 100).toBeGreaterThan(7);
    expect(nearestRank(0.07)(100)).toBe(6);
    expect(nearestRank(0.29)(100)).toBe(28);
  });

  test('is exact when p has many digits', () => {
    expect(nearestRank(0.1234567890123456)(1e9)).toBe(123456789);
    expect(nearestRank(1e-300)(1_000_000)).toBe(0);
    expect(nearestRank(1)(3)).toBe(2);
  });

  test.each([0, -0.1, 1.1, Number.NaN, 95])('refuses p when it is %s', (p) => {
    expect(() => nearestRank(p)).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }));
  });
});

describe('quantile', () => {
  test('is the nearest rank of its definition when compared with a scan', () => {
    fc.assert(
      fc.property(probability, wholeNumbers, (p, values) => {
        expect(drive(quantile(p, identity)).over(values)).toBe(naiveQuantile(p, values));
      }),
    );
  });

  test('is the same when accumulators are merged, stored or fed in another order', () => {
    fc.assert(
      fc.property(probability, wholeNumbers, fc.nat(60), (p, values, cut) => {
        const driver = drive(quantile(p, identity));
        const expected = driver.over(values);
        expect(driver.merged([values.slice(0, cut), values.slice(cut)])).toBe(expected);
        expect(driver.throughCheckpoints(values)).toBe(expected);
        expect(driver.over([...values].reverse())).toBe(expected);
      }),
    );
  });

  test.each([Number.NaN, null, undefined, '5'])('refuses a record when its number is %s', (bad) => {
    expect(() => drive(quantile<number>(0.5, () => bad as number)).over([1])).toThrow(
      expect.objectContaining({ code: 'USER_FUNCTION_FAILED' }),
    );
  });

  test('orders infinities when they occur', () => {
    expect(drive(quantile(0.5, identity)).over([Number.POSITIVE_INFINITY, 1, Number.NEGATIVE_INFINITY])).toBe(1);
  });
});

describe('quantile sketch', () => {
  const numbers = fc.array(
    fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
    { minLength: 1, maxLength: 60 },
  );

  test('is within its relative accuracy of the exact quantile when numbers have any sign and size', () => {
    fc.assert(
      fc.property(probability, numbers, fc.constantFrom(0.001, 0.01, 0.2), (p, values, relativeAccuracy) => {
        const exact = drive(quantile(p, identity)).over(values);
        const near = drive(quantileSketch(p, identity, { relativeAccuracy })).over(values);
        // Numbers below 1e-307 are smaller than any bin and count as 0.
        expect(Math.abs(near - exact)).toBeLessThanOrEqual(Math.abs(exact) * relativeAccuracy * (1 + 1e-9) + 1e-307);
      }),
    );
  });

  test('is the same when accumulators are merged, stored or fed in another order', () => {
    fc.assert(
      fc.property(probability, numbers, fc.nat(60), (p, values, cut) => {
        const driver = drive(quantileSketch(p, identity, { relativeAccuracy: 0.05 }));
        const expected = driver.over(values);
        expect(driver.merged([values.slice(0, cut), values.slice(cut)])).toBe(expected);
        expect(driver.throughCheckpoints(values)).toBe(expected);
        expect(driver.over([...values].reverse())).toBe(expected);
      }),
    );
  });

  test('agrees with the reference library when its dense bins can hold the numbers', () => {
    const reference = fc.array(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(reference, (values) => {
        const library = new DDSketch({ relativeAccuracy: 0.01 });
        for (const value of values) library.accept(value);
        const largest = drive(quantileSketch(1, identity)).over(values);
        const clamped = Math.min(library.max, Math.max(library.min, library.getValueAtQuantile(1)));
        expect(Math.abs(largest - clamped)).toBeLessThanOrEqual(clamped * 1e-9);
      }),
    );
  });

  test('counts negative numbers when sketches are merged', () => {
    // The reference library leaves them out.
    expect(drive(quantileSketch(0.5, identity)).merged([[1], [-8, -8, -8]])).toBeCloseTo(-8, 0);
  });

  test.each([0, 1, -1, Number.NaN])('refuses a relative accuracy when it is %s', (relativeAccuracy) => {
    expect(() => quantileSketch(0.5, identity, { relativeAccuracy })).toThrow(
      expect.objectContaining({ code: 'JOB_INVALID' }),
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, null])('refuses a record when its number is %s', (bad) => {
    expect(() => drive(quantileSketch<number>(0.5, () => bad as number)).over([1])).toThrow(
      expect.objectContaining({ code: 'USER_FUNCTION_FAILED' }),
    );
  });
});
