import { expect, test } from 'vitest';
import { bytesText, countText, eventTimeText, rateText, recordsText, spanText } from './number-text.ts';

test('countText groups digits by three', () => {
  expect([0, 999, 1_000, 1_234_567].map(countText)).toEqual(['0', '999', '1,000', '1,234,567']);
});

test('recordsText says record when there is one', () => {
  expect([0, 1, 2_000].map(recordsText)).toEqual(['0 records', '1 record', '2,000 records']);
});

test('rateText keeps three digits when a rate is large', () => {
  expect([0, 812.4, 41_300, 999_400, 999_600, 1_260_000].map(rateText)).toEqual([
    '0',
    '812',
    '41.3 K',
    '999 K',
    '1.00 M',
    '1.26 M',
  ]);
});

test('bytesText changes the unit when three digits are not enough', () => {
  expect([0, 512, 1_300, 84_000_000, 999_600].map(bytesText)).toEqual(['0 B', '512 B', '1.3 KB', '84 MB', '1.0 MB']);
});

test('spanText changes the unit when a span is long', () => {
  expect([840, 12_340, 185_000, 7_440_000].map(spanText)).toEqual(['0.84 s', '12.3 s', '3 min 05 s', '2 h 04 min']);
});

test('eventTimeText shows a watermark that is no time as a word', () => {
  const watermarks = [
    Number.NEGATIVE_INFINITY,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.MAX_SAFE_INTEGER,
    978_307_200_000,
  ];
  expect(watermarks.map(eventTimeText)).toEqual(['-', '-', 'end', 'end', '2001-01-01 00:00:00']);
});
