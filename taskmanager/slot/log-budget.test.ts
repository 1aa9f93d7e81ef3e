import { expect, test } from 'vitest';
import { LogBudget, logLineMaxLength, logLinesPerSecondMax } from './log-budget.ts';

test('a log budget drops what is over the lines of a second, and says how many when the next second begins', () => {
  const budget = new LogBudget();
  const first = Array.from({ length: logLinesPerSecondMax + 3 }, (_, index) =>
    budget.take(5_000 + index, `line ${index}`),
  ).flat();
  expect(first).toEqual(Array.from({ length: logLinesPerSecondMax }, (_, index) => `line ${index}`));
  expect(budget.take(6_000, 'next')).toEqual([expect.stringContaining('3 log lines were dropped'), 'next']);
  expect(budget.take(6_001, 'more')).toEqual(['more']);
});

test('a log budget cuts a line that is too long', () => {
  expect(new LogBudget().take(0, 'x'.repeat(logLineMaxLength * 2))[0]).toHaveLength(logLineMaxLength + 2);
});
