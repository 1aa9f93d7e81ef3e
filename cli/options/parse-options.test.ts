import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDuration, parseInteger, parseJobArguments, parsePortRange } from './parse-options.ts';

describe('parseDuration', () => {
  test.each([
    ['500ms', 500],
    ['1s', 1_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration('--x', text)).toBe(ms);
  });

  test.each(['5', '', '-1s', '0s', '1 s', 's', '1e3s', '1s2', '99999999999999999d'])(
    'refuses %j, naming the option',
    (text) => {
      expect(() => parseDuration('--checkpoint-interval', text)).toThrow(/--checkpoint-interval/);
    },
  );
});

describe('parseInteger', () => {
  test.each(['0', '11', '1.5', '', 'x', '-1', '0x3', ' 3'])(
    'refuses %j when it is no whole number within bounds',
    (text) => {
      expect(() => parseInteger('--n', text, { min: 1, max: 10 })).toThrow(/--n is a whole number from 1 to 10/);
    },
  );
});

describe('parsePortRange', () => {
  test.each([
    ['7000-7003', { first: 7000, last: 7003 }],
    ['7000', { first: 7000, last: 7000 }],
    ['1-65535', { first: 1, last: 65_535 }],
  ])('reads %s', (text, range) => expect(parsePortRange('--ports', text)).toEqual(range));

  test.each(['0-3', '7003-7000', '7000-65536', '7000-', 'http', ''])(
    'refuses "%s" and says what is expected',
    (text) => {
      expect(() => parsePortRange('--ports', text)).toThrow(/--ports is a range of ports such as 7000-7003/);
    },
  );
});

describe('parseJobArguments', () => {
  test('reads the three ways of writing a parameter', () => {
    expect(parseJobArguments(['--airport', 'ATL', '--from=2001=x', '--verbose', '--last'])).toEqual({
      airport: 'ATL',
      from: '2001=x',
      verbose: 'true',
      last: 'true',
    });
  });

  test('takes a negative number as a value', () => {
    expect(parseJobArguments(['--offset', '-5'])).toEqual({ offset: '-5' });
  });

  test.each([[['ATL']], [['-a', 'b']], [['--a', '1', '2']], [['--a', '1', '--a', '2']]])('refuses %j', (words) => {
    expect(() => parseJobArguments(words)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('gives back any value when it is written with =', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(parseJobArguments([`--name=${value}`])).toEqual({ name: value });
      }),
    );
  });
});
