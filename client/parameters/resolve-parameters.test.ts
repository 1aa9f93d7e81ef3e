import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defineJob, params } from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';
import { nearestName } from '../../core/nearest-name.ts';
import type { ParameterSchema } from './parameter-types.ts';
import { parseDuration } from './parse-duration.ts';
import { environmentName, type ParameterSources, resolveParameters } from './resolve-parameters.ts';

const schema = {
  input: params.string({ description: 'file to read' }),
  windowSize: params.duration({ default: 60_000 }),
  limit: params.integer({ default: 10 }),
  ratio: params.number({ default: 0.5 }),
  verbose: params.boolean({ default: false }),
  mode: params.choice(['fast', 'exact'], { default: 'fast' }),
};
const resolve = (sources: ParameterSources, declared: ParameterSchema = schema): ReturnType<typeof resolveParameters> =>
  resolveParameters('job', declared, sources);
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'PARAMETER_INVALID', message: expect.stringMatching(message) });

describe('parameters', () => {
  test('come from arguments, environment, file and default in this order', () => {
    const { values } = resolve({
      arguments: { input: 'argument' },
      environment: { MILLRACE_PARAM_INPUT: 'environment', MILLRACE_PARAM_WINDOW_SIZE: '2m' },
      parameterFile: { path: 'p.json', values: { input: 'file', windowSize: '3m', limit: 7 } },
    });
    expect(values).toEqual({
      input: 'argument',
      windowSize: 120_000,
      limit: 7,
      ratio: 0.5,
      verbose: false,
      mode: 'fast',
    });
  });

  test('are parsed by their kind when given as text', () => {
    const { values } = resolve({
      arguments: { input: '5', 'window-size': '1h30m', limit: '-3', ratio: '1e-3', verbose: 'true', mode: 'exact' },
    });
    expect(values).toEqual({
      input: '5',
      windowSize: 5_400_000,
      limit: -3,
      ratio: 0.001,
      verbose: true,
      mode: 'exact',
    });
  });

  test('are accepted under both spellings when given as an argument', () => {
    expect(resolve({ arguments: { input: 'x', windowSize: '5s' } }).values).toMatchObject({ windowSize: 5000 });
  });

  test.each([
    [{ arguments: { input: 'x', 'windw-size': '5s' } }, /unknown parameter --windw-size, did you mean --window-size\?/],
    [{ arguments: { input: 'x', zzz: '' } }, /unknown parameter --zzz \(known: --input, --window-size/],
    [{ arguments: {} }, /'input' is missing: give --input or set MILLRACE_PARAM_INPUT \(file to read\)/],
    [{ arguments: { input: 'x', 'window-size': '5' } }, /--window-size is "5", expected a duration such as 10s/],
    [{ arguments: { input: 'x', limit: '1.5' } }, /--limit is "1.5", which is not a whole number/],
    [{ arguments: { input: 'x', limit: 'many' } }, /--limit is "many", expected a whole number/],
    [{ arguments: { input: 'x', ratio: '' } }, /--ratio is "", expected a number/],
    [{ arguments: { input: 'x', ratio: 'Infinity' } }, /which is not a number/],
    [{ arguments: { input: 'x', verbose: 'yes' } }, /expected true or false/],
    [{ arguments: { input: 'x', mode: 'slow' } }, /"slow", which is not one of fast, exact/],
    [{ environment: { MILLRACE_PARAM_INPUT: 'x', MILLRACE_PARAM_LIMIT: 'no' } }, /MILLRACE_PARAM_LIMIT is "no"/],
    [
      { parameterFile: { path: 'p.json', values: { input: 'x', limits: 1 } } },
      /unknown parameter 'limits' in p.json, did you mean limit\?/,
    ],
    [{ parameterFile: { path: 'p.json', values: { input: 1 } } }, /'input' in p.json is 1, which is not a text/],
    [
      { parameterFile: { path: 'p.json', values: { input: 'x', windowSize: 5 } } },
      /'windowSize' in p.json is 5, expected a duration/,
    ],
  ] satisfies [ParameterSources, RegExp][])('are refused when given as %j', (sources, message) => {
    expect(() => resolve(sources)).toThrow(refused(message) as Error);
  });

  test('report every problem at once when there are several', () => {
    expect(() => resolve({ arguments: { limit: 'x', foo: '1' } })).toThrow(
      refused(/--foo.*'input' is missing.*--limit/) as Error,
    );
  });

  test('warn of a misspelt environment variable when it names none of them', () => {
    const { warnings } = resolve({
      arguments: { input: 'x' },
      environment: { MILLRACE_PARAM_LIMITT: '1', PATH: '/bin' },
    });
    expect(warnings).toEqual([
      'environment variable MILLRACE_PARAM_LIMITT names no parameter of this job, did you mean MILLRACE_PARAM_LIMIT?',
    ]);
  });

  test('are taken as they are when resolved at submission', () => {
    const resolvedParameters = { input: 'x', windowSize: 1, limit: 2, ratio: 3, verbose: true, mode: 'exact' };
    const sources = { resolvedParameters, arguments: { unknown: '1' }, environment: { MILLRACE_PARAM_LIMIT: '99' } };
    expect(resolve(sources).values).toEqual(resolvedParameters);
  });

  test('that were not there at submission are refused as not deterministic', () => {
    expect(() => resolve({ resolvedParameters: { input: 'x' } })).toThrow(
      expect.objectContaining({ code: 'JOB_NOT_DETERMINISTIC' }),
    );
  });

  test.each([
    [{ 'a b': params.string({ default: '' }) }, /'a b' is not a name/],
    [{ aB: params.string({ default: '' }), a_b: params.string({ default: '' }) }, /both MILLRACE_PARAM_A_B/],
    [{ n: params.integer({ default: 0.5 }) }, /default 0.5, which is not a whole number/],
    [{ n: 5 as never }, /'n' is not declared/],
  ] satisfies [ParameterSchema, RegExp][])('are refused when declared as %j', (declared, message) => {
    expect(() => resolve({}, declared)).toThrow(
      expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) }),
    );
  });

  test('travel in the graph and reach the definition when it is planned', () => {
    let seen: unknown;
    const job = defineJob('job', (env) => {
      seen = env.params({ limit: params.integer({ default: 1 }) });
      env.from(testSource()).print();
    });
    expect(job.plan({ arguments: { limit: '5' } }).graph.parameters).toEqual({ limit: 5 });
    expect(seen).toEqual({ limit: 5 });
  });

  test('are refused when the job declares none or declares twice', () => {
    const none = defineJob('job', (env) => void env.from(testSource()).print());
    expect(() => none.plan({ arguments: { limit: '5' } })).toThrow(
      refused(/--limit \(the job declares no parameters\)/) as Error,
    );
    const twice = defineJob('job', (env) => {
      env.params({});
      env.params({});
    });
    expect(() => twice.plan({})).toThrow(/env.params twice/);
  });

  test('have an environment name in capitals when written in camel case', () => {
    expect([environmentName('windowSize'), environmentName('a1B'), environmentName('max_n')]).toEqual([
      'MILLRACE_PARAM_WINDOW_SIZE',
      'MILLRACE_PARAM_A1_B',
      'MILLRACE_PARAM_MAX_N',
    ]);
  });
});

describe('a duration text', () => {
  test.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['1.5m', 90_000],
    ['1h30m', 5_400_000],
    ['2 d', 172_800_000],
    ['0s', 0],
  ])('%s is %d ms', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  test.each(['', '5', 's', '-5s', '5x', '5s!', '1e3s', '99999999999999d'])('%j is refused', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});

describe('the nearest name', () => {
  const word = fc.string({ minLength: 3, maxLength: 8, unit: fc.constantFrom(...'abcdef') });

  test('is the name itself when it is among the candidates', () => {
    fc.assert(
      fc.property(word, fc.array(word), (name, others) => {
        expect(nearestName(name, [...others, name])).toBe(name);
      }),
    );
  });

  test('is found when one letter is missing, and none when nothing is like it', () => {
    fc.assert(
      fc.property(word, fc.nat(2), (name, at) => {
        expect(nearestName(name.slice(0, at) + name.slice(at + 1), [name, 'zzzzzzzzzzzzzzz'])).toBe(name);
      }),
    );
    expect(nearestName('limit', ['windowSize', 'mode'])).toBeNull();
  });
});
