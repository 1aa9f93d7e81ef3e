/** q12 under a virtual clock, against counting by hand. Needs the build. */
import { describe, expect, it } from 'vitest';
import { checkQ12, clockStepMs, differenceOf } from './check-q12.ts';

describe('q12 under a virtual clock', () => {
  it.each([1, 2])(
    'gives the bids of each window of the clock at parallelism %i',
    { timeout: 60_000 },
    async (splits) => {
      expect(await checkQ12({ events: 50_000, rate: 5_000, splits })).toBeNull();
    },
  );

  it('has a clock that goes through windows, and over some', () => {
    const steps = Array.from({ length: 50_000 }, (_, index) => clockStepMs(index)).filter((ms) => ms > 0);
    expect(steps.length).toBeGreaterThan(40);
    expect(steps.some((ms) => ms > 30_000)).toBe(true);
    expect(steps.filter((ms) => ms < 4_000).length).toBeGreaterThan(30);
  });

  it('finds rows that are missing, too many, different or doubled', () => {
    const row = { bidder: 1, bids: 2, windowStart: 0, windowEnd: 10_000 };
    expect(differenceOf([row], [row])).toBeNull();
    expect(differenceOf([row], [])).toMatch(/missing: 1, .*too many: nothing/);
    expect(differenceOf([row], [row, row])).toMatch(/missing: nothing; too many: 1/);
    expect(differenceOf([row], [{ ...row, bids: 3 }])).toMatch(/missing: 1.*too many: 1.*: 3/);
  });
});
