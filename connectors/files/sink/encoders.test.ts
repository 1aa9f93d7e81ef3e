import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvEncoder } from './csv-encoder.ts';
import { ChangeLinesEncoder } from './change-lines-encoder.ts';
import { JsonLinesEncoder } from './json-lines-encoder.ts';

const json = new JsonLinesEncoder<unknown>();

class Money {
  readonly cents = 1;
}

describe('JsonLinesEncoder', () => {
  it('gives one line that reads back as the value when the value is JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const line = json.encode(value);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('writes dates as text, leaves undefined fields out and writes NaN as null when records have them', () => {
    expect(json.encode({ at: new Date(0), no: undefined, nan: Number.NaN })).toBe(
      '{"at":"1970-01-01T00:00:00.000Z","nan":null}\n',
    );
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  it.each<[string, unknown, RegExp]>([
    ['undefined', undefined, /the record itself is undefined/],
    ['a bigint', 1n, /the record itself is a bigint/],
    ['a Map', new Map(), /the record itself is a Map/],
    ['a nested bigint', { a: { b: [1, { c: 2n }] } }, /field a\.b\.1\.c is a bigint/],
    ['a nested Map', { a: [new Map()] }, /field a\.0 is a Map/],
    ['bytes', { a: new Uint8Array(2) }, /field a is a Uint8Array/],
    ['a function', { a: () => 1 }, /field a is a function/],
    ['a symbol', { a: Symbol('x') }, /field a is a symbol/],
    ['an invalid date', { a: new Date(Number.NaN) }, /field a is an invalid Date/],
    ['a class instance', { money: new Money() }, /field money is a Money/],
    ['a cycle', cycle, /deeper than 64 levels or refers to itself/],
  ])('refuses the record and names the field when it holds %s', (_, value, message) => {
    expect(() => json.encode(value)).toThrow(
      expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', message: expect.stringMatching(message) }),
    );
  });
});

describe('ChangeLinesEncoder', () => {
  it('says what happened to the row when the stream is one of changes', () => {
    const changes = new ChangeLinesEncoder<unknown>();
    expect([0, 1, 2, 3].map((kind) => changes.encode({ a: kind }, kind)).join('')).toBe(
      '{"op":"+I","row":{"a":0}}\n{"op":"-U","row":{"a":1}}\n{"op":"+U","row":{"a":2}}\n{"op":"-D","row":{"a":3}}\n',
    );
    expect(() => changes.encode(new Map(), 0)).toThrow(/the record itself is a Map/);
  });
});

describe('CsvEncoder', () => {
  const encoder = (columns: readonly string[] | null = null) =>
    new CsvEncoder<unknown>({ delimiter: ',', withHeader: true, columns });

  it('takes the columns of the first record when none are named', () => {
    const csv = encoder();
    expect(csv.encode({ a: 1, b: 'x' })).toBe('1,x\n');
    expect(csv.header()).toBe('a,b\n');
    expect(csv.encode({ b: null, a: true })).toBe('true,\n');
  });

  it('quotes cells when they hold delimiters, quotes or line ends, or are empty', () => {
    expect(encoder().encode({ a: 'x,y', b: 'say "hi"', c: 'l1\nl2', d: '', e: new Date(0) })).toBe(
      '"x,y","say ""hi""","l1\nl2","",1970-01-01T00:00:00.000Z\n',
    );
    expect(encoder(['a']).encode({ a: null })).toBe('""\n');
  });

  it.each<[string, unknown, RegExp]>([
    ['has a field without a column', { a: 1, z: 2 }, /field z is not one of the columns of the file \(a\)/],
    ['has an object in a cell', { a: {} }, /field a is a Object/],
    ['has a bigint in a cell', { a: 1n }, /field a is a bigint/],
    ['is no object', 'text', /the record itself is a string/],
    ['is an array', [1], /the record itself is an array/],
  ])('refuses the record when it %s', (_, value, message) => {
    expect(() => encoder(['a']).encode(value)).toThrow(
      expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', message: expect.stringMatching(message) }),
    );
  });
});
