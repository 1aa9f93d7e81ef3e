/**
 * Nothing kept beyond its batch may hold a slice of it: strings of a decoded batch are cut from one joined string a column,
 * and a single kept one would keep all. Two slots over TCP; one record in five hundred is kept, by each thing that keeps.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  defineJob,
  emits,
  first,
  hours,
  type JobEnvironment,
  last,
  mapState,
  minutes,
  planJob,
  type Stream,
  topN,
  tumbling,
  valueState,
} from '../../client/index.ts';
import type { Source } from '../../core/connector/index.ts';
import { SlotsHarness } from '../../testing/slots-harness.ts';

interface Page {
  readonly index: number;
  readonly url: string;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const records = 40_000;
/** Odd, so that of two slots both keep some: what stays in a slot was never encoded. */
const keptEvery = 501;
const kept = records / keptEvery;
const urlLength = 300;
/** Far below the 150 KB of a batch's column, far above a record and the row it is kept in. */
const bytesPerKeptMax = 12_000;

/** `count` records, and then nothing; without an end state stays what it is. */
function pages(count: number, bounded: boolean): Source<Page> {
  const never = new Promise<never>(() => {});
  return {
    type: 'source',
    kind: 'pages',
    options: {},
    boundedness: bounded ? 'bounded' : 'unbounded',
    openSplitsMax: 1,
    splitId: String,
    createPlanner: () => {
      let asked = false;
      return {
        open: () => Promise.resolve(),
        next: () => {
          if (asked) return never;
          asked = true;
          return Promise.resolve({ splits: [0], done: bounded });
        },
        snapshot: () => asked,
        close: () => Promise.resolve(),
      };
    },
    createReader: () => ({
      openSplit: () => {
        let next = 0;
        return Promise.resolve({
          poll: (recordsMax: number) => {
            if (next >= count) return null;
            const values: Page[] = [];
            while (values.length < recordsMax && next < count) {
              values.push({ index: next, url: `${next}/`.padEnd(urlLength, 'path/') });
              next++;
            }
            return { values, timestamps: null };
          },
          get ended() {
            return bounded && next >= count;
          },
          ready: () => never,
          position: () => next,
          close: () => Promise.resolve(),
        });
      },
      close: () => Promise.resolve(),
    }),
  };
}

function usedBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that are held more per kept record when the slots have read everything than before. */
async function bytesPerKept(keep: (stream: Stream<Page>) => void): Promise<number> {
  return heldPerKept((_, decoded) => keep(decoded(false)));
}

/** @param define given the stream of pages, one in so many, decoded in the slot where it is then; `bounded` or without an end */
async function heldPerKept(
  define: (env: JobEnvironment, decoded: (bounded: boolean) => Stream<Page>) => void,
): Promise<number> {
  let seen = 0;
  let allSeen = (): void => {};
  const done = new Promise<void>((resolve) => void (allSeen = resolve));
  const job = planJob(
    defineJob('keeps', (env) => {
      const sparse = (page: Readonly<Page>): boolean => {
        seen++;
        if (seen === records) allSeen();
        return page.index % keptEvery === 0;
      };
      define(env, (bounded) => {
        const source = env.from(pages(records, bounded), { uid: 'pages' });
        return source
          .withTimestamps((page) => page.index, { outOfOrderness: minutes(1) })
          .rebalance()
          .filter(sparse);
      });
    }),
    { parallelism: 2 },
  );
  const before = usedBytes();
  const harness = await new SlotsHarness({ job }).start();
  await done;
  await harness.checkpoint();
  await new Promise((resolve) => setImmediate(resolve));
  const bytes = usedBytes() - before;
  await harness.kill();
  return bytes / kept;
}

const byUrl = (stream: Stream<Page>) => stream.keyBy((page) => page.url);
const byGroup = (stream: Stream<Page>) => stream.keyBy((page) => page.index % 97);
const drop = <T>(stream: Stream<T>): void => void stream.filter(() => false).collect('none');

const keepers: Readonly<Record<string, (stream: Stream<Page>) => void>> = {
  nothing: drop,
  'a control that keeps whole records': (stream) => {
    const list: Page[] = [];
    drop(stream.map((page) => list.push(page)));
  },
  'the key of a rolling aggregate': (stream) => drop(byUrl(stream).aggregate({ first: first((page) => page.index) })),
  reduce: (stream) => drop(byUrl(stream).reduce((left) => left)),
  'first, last and topN': (stream) =>
    drop(
      byUrl(stream).aggregate({
        first: first((page) => page),
        last: last((page) => page.url),
        top: topN(3, (page) => page.url),
      }),
    ),
  'accumulators of windows': (stream) =>
    drop(
      byUrl(stream)
        .window(tumbling(hours(1)))
        .aggregate({ first: first((page) => page), top: topN(3, (page) => page.index) }),
    ),
  'value state and its timers': (stream) =>
    drop(
      byUrl(stream).process(emits<Page>(), {
        state: { page: valueState<Page>() },
        onRecord: (page, context) => {
          context.state.page.update(page);
          context.timers.registerEventTime(8e12);
          context.timers.registerProcessingTime(8e12);
        },
      }),
    ),
  'map state': (stream) =>
    drop(
      byGroup(stream).process(emits<Page>(), {
        state: { pages: mapState<string, Page>() },
        onRecord: (page, context) => context.state.pages.set(page.url, page),
      }),
    ),
  'a list in value state': (stream) =>
    drop(
      byGroup(stream).process(emits<Page>(), {
        state: { urls: valueState<readonly string[]>() },
        onRecord: (page, context) => context.state.urls.update([...(context.state.urls.value() ?? []), page.url]),
      }),
    ),
  collect: (stream) => void stream.collect('pages'),
};

describe('what is kept of a decoded batch', () => {
  // Whatever is made once per process is made here, and not counted below.
  beforeAll(async () => void (await bytesPerKept(drop)), 60_000);

  it('is its own copy: side inputs', { timeout: 60_000 }, async () => {
    const bytes = await heldPerKept((env, decoded) => {
      const main = env.from(pages(1, false), { uid: 'main' });
      drop(
        main
          .broadcastInput(decoded(true), (side) => new Map(side.map((page) => [page.index, page])))
          .map((_, side) => side.size),
      );
    });
    // Each of the two slots has its copy.
    expect(bytes).toBeLessThan(2 * bytesPerKeptMax);
  });

  it.each(Object.keys(keepers))('is its own copy: %s', { timeout: 60_000 }, async (name) => {
    const keep = keepers[name] as (stream: Stream<Page>) => void;
    const bytes = await bytesPerKept(keep);
    if (name.startsWith('a control')) expect(bytes).toBeGreaterThan(bytesPerKeptMax * 2);
    else expect(bytes).toBeLessThan(bytesPerKeptMax);
  });
});
