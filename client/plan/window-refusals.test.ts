/** What windows refuse when the job is defined, and what they warn of. */
import { describe, expect, test } from 'vitest';
import { functionsFingerprint } from '../../core/graph/functions-fingerprint.ts';
import { graphHash } from '../../core/graph/graph-hash.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { count, countWindow, defineJob, globalWindow, type KeyedStream, session, sliding, tumbling } from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

function planned(define: (keyed: KeyedStream<Reading, string>) => { print(): unknown }) {
  return defineJob('job', (env) => {
    define(env.from(testSource<Reading>(), { uid: 'in' }).keyBy((reading) => reading.sensor)).print();
  }).plan({ parallelism: 2 });
}

const processing = { time: 'processing' } as const;
const timeless: [string, WindowDefinition<Reading>][] = [
  ['a tumbling window of processing time', tumbling(10, processing)],
  ['a sliding window of processing time', sliding(10, 5, processing)],
  ['a session window of processing time', session(10, processing)],
  ['a count window', countWindow(10)],
];

describe('a window refuses', () => {
  test.each(timeless)('lateness when it is %s', (what, window) => {
    expect(() => planned((keyed) => keyed.window(window).allowedLateness(1).aggregate({ n: count() }))).toThrow(what);
    expect(() => planned((keyed) => keyed.window(window).aggregate({ n: count() }).late())).toThrow(what);
  });

  test('to aggregate when it is global and nothing fires it', () => {
    expect(() => planned((keyed) => keyed.window(globalWindow()).aggregate({ n: count() }))).toThrow(/trigger/);
  });
});

test.each(timeless)('no lateness is fine, and no timestamps are needed, when it is %s', (_what, window) => {
  const { warnings } = planned((keyed) => keyed.window(window).allowedLateness(0).aggregate({ n: count() }));
  expect(warnings.filter((warning) => warning.includes('withTimestamps'))).toEqual([]);
});

test.each([
  ['tumbling', tumbling(10)],
  ['sliding', sliding(10, 5)],
  ['session', session<Reading>(() => 5)],
] as [string, WindowDefinition<Reading>][])(
  'a %s window is warned of when nobody gives timestamps',
  (_kind, window) => {
    const { warnings } = planned((keyed) => keyed.window(window).aggregate({ n: count() }).uid('w'));
    expect(warnings.join('\n')).toContain("window 'w' reads 'in' without withTimestamps");
  },
);

test('the gap function of a session is in the fingerprint of functions and not in the hash when it changes', () => {
  const withGap = (gapOf: (reading: Readonly<Reading>) => number) =>
    planned((keyed) => keyed.window(session(gapOf)).aggregate({ n: count() }).uid('w'));
  const left = withGap((reading) => reading.value);
  const right = withGap((reading) => reading.value * 2);
  expect(graphHash(left.graph)).toBe(graphHash(right.graph));
  expect(functionsFingerprint(left.functions)).not.toEqual(functionsFingerprint(right.functions));
});
