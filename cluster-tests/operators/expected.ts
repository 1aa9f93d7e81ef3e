/**
 * What the operators job has to write, by brute force over the records: no code of the engine, nothing incremental. Branches
 * whose sink gets changes are compared by what they come to: rows inserted less rows taken back.
 */
import { gapOf, type Item, itemOf, itemSplits, markSplits, outOfOrdernessMs, ruleCount, ruleOf } from './items.ts';

/** Lines of each branch, sorted. */
export type Results = Readonly<Record<string, readonly string[]>>;

/** A record and the watermark of its split when it came. */
interface Seen extends Item {
  readonly watermark: number;
}

interface Window {
  readonly start: number;
  readonly end: number;
}

type Assign = (item: Item) => readonly Window[];

function seenOf(split: number, records: number): Seen[] {
  let watermark = Number.NEGATIVE_INFINITY;
  return Array.from({ length: records }, (_, seq) => {
    const item = { ...itemOf(split, seq), watermark };
    watermark = Math.max(watermark, item.time - outOfOrdernessMs - 1);
    return item;
  });
}

function by<T, K>(values: readonly T[], keyOf: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group === undefined) groups.set(keyOf(value), [value]);
    else group.push(value);
  }
  return groups;
}

const total = (items: readonly Item[]): number => items.reduce((sum, item) => sum + item.amount, 0);
const ids = (items: readonly Item[]): { id: string }[] => items.map(({ id }) => ({ id }));
const pair = (a: Item | null, b: Item | null): { a: string | null; b: string | null } => ({
  a: a?.id ?? null,
  b: b?.id ?? null,
});

const tumbling =
  (size: number): Assign =>
  ({ time }) => [{ start: Math.floor(time / size) * size, end: Math.floor(time / size) * size + size }];

const sliding =
  (size: number, slide: number): Assign =>
  ({ time }) => {
    const windows: Window[] = [];
    for (let start = Math.floor(time / slide) * slide; start > time - size; start -= slide)
      windows.push({ start, end: start + size });
    return windows;
  };

const open = (item: Seen, { end }: Window): boolean => end - 1 > item.watermark;

/** Items of each window of each key, in order of arrival; late ones left out. */
function windows<K>(items: readonly Seen[], keyOf: (item: Seen) => K, assign: Assign) {
  const results: { key: K; start: number; end: number; items: Seen[] }[] = [];
  for (const [key, ofKey] of by(items, keyOf)) {
    const placed = ofKey.flatMap((item) =>
      assign(item)
        .filter((window) => open(item, window))
        .map((window) => ({ item, window })),
    );
    for (const inWindow of by(placed, ({ window }) => window.start).values())
      results.push({ key, ...inWindow[0].window, items: inWindow.map(({ item }) => item) });
  }
  return results;
}

function lateOf(items: readonly Seen[], assign: Assign): { id: string }[] {
  return ids(items.filter((item) => !assign(item).some((window) => open(item, window))));
}

function sessions<K>(items: readonly Seen[], keyOf: (item: Seen) => K, gap: (item: Item) => number) {
  const results: { key: K; start: number; end: number; items: Seen[] }[] = [];
  const onTime = items.filter((item) => open(item, { start: item.time, end: item.time + gap(item) }));
  for (const [key, ofKey] of by(onTime, keyOf)) {
    let current: (typeof results)[number] | undefined;
    for (const item of [...ofKey].sort((a, b) => a.time - b.time)) {
      if (current === undefined || item.time > current.end) {
        current = { key, start: item.time, end: item.time + gap(item), items: [] };
        results.push(current);
      }
      current.items.push(item);
      current.end = Math.max(current.end, item.time + gap(item));
    }
  }
  return results;
}

function expectedWindows(items: readonly Seen[]): Record<string, readonly unknown[]> {
  const byKey = (item: Item): string => item.key;
  const summed = (found: { key: unknown; start: number; end: number; items: Item[] }[]) =>
    found.map(({ key, start, end, items }) => {
      return { key, windowStart: start, windowEnd: end, n: items.length, total: total(items) };
    });
  const fixed = (gap: number) => sessions(items, byKey, () => gap);
  return {
    sliding: summed(windows(items, byKey, sliding(6_000, 2_000))),
    'sliding-late': lateOf(items, sliding(6_000, 2_000)),
    sessions: summed(fixed(1_505)),
    'sessions-late': lateOf(items, ({ time }) => [{ start: time, end: time + 1_505 }]),
    'dynamic-sessions': sessions(items, byKey, gapOf).map(({ key, start, end, items }) => {
      return {
        key,
        windowStart: start,
        windowEnd: end,
        n: items.length,
        best: Math.max(...items.map((i) => i.amount)),
      };
    }),
    counted: counted(items, 7, 7),
    'counted-sliding': counted(items, 10, 3),
    all: summed(windows(items, () => 0, tumbling(1_000))),
    refined: summed(
      windows(
        items.map((item) => ({ ...item, watermark: Number.NEGATIVE_INFINITY })),
        byKey,
        tumbling(10_000),
      ),
    ),
    early: windows(items, byKey, tumbling(5_000)).flatMap(({ key, start, items }) => {
      const early = Array.from({ length: Math.floor(items.length / 3) }, (_, n) => (n + 1) * 3);
      return [...early, items.length].map((n) => ({ key, start, n }));
    }),
    evicted: windows(items, byKey, tumbling(10_000)).map(({ key, start, items }) => {
      return { key, start, ids: items.slice(-3).map(({ id }) => id) };
    }),
    global: [...by(items, byKey)].flatMap(([key, items]) =>
      Array.from({ length: Math.floor(items.length / 5) }, (_, at) => {
        return { key, fired: at + 1, ids: items.slice(at * 5, at * 5 + 5).map(({ id }) => id) };
      }),
    ),
    best: bestOf(items),
    'session-records': fixed(1_505).map(({ key, start, end, items }) => {
      return { key, start, end, ids: items.map(({ id }) => id).sort() };
    }),
  };
}

function counted(items: readonly Item[], size: number, slide: number): unknown[] {
  return [...by(items, (item) => item.key)].flatMap(([key, items]) =>
    Array.from({ length: Math.floor(items.length / slide) }, (_, at) => {
      const end = (at + 1) * slide;
      const start = Math.max(0, end - size);
      const inWindow = items.slice(start, end);
      return { key, windowStart: start, windowEnd: end, n: inWindow.length, total: total(inWindow) };
    }),
  );
}

function bestOf(items: readonly Seen[]): unknown[] {
  const found = windows(items, (item) => item.key, tumbling(5_000)).sort((a, b) => a.start - b.start);
  const last = new Map<string, number>();
  return found.flatMap(({ key, start, items }) => {
    const best = items.reduce((a, b) => (b.amount > a.amount ? b : a));
    const before = last.get(key) ?? 0;
    last.set(key, best.amount);
    return [
      { key, start, best: best.id, before },
      { key, start, best: 'cleared', before: best.amount },
    ];
  });
}

function expectedJoins(items: readonly Seen[], marks: readonly Seen[]): Record<string, readonly unknown[]> {
  const group = (item: Item): number => item.group;
  const both = [...items, ...marks];
  const isMark = ({ split }: Item): boolean => split >= itemSplits;
  const matching = (first: readonly Seen[], second: readonly Seen[], keyOf: (item: Item) => number) => {
    const ofSecond = by(second, keyOf);
    return first.flatMap((a) => (ofSecond.get(keyOf(a)) ?? []).map((b) => [a, b] as const));
  };
  const onTime = (item: Seen): boolean => item.time > item.watermark;
  const every = (n: number) => (item: Item) => item.seq % n === 0;
  return {
    'window-join': windows(both, group, tumbling(5_000)).flatMap(({ items: inWindow }) => {
      const first = inWindow.filter((item) => !isMark(item));
      const second = inWindow.filter(isMark);
      return outer(first, second, () => 0);
    }),
    'window-join-late-first': lateOf(items, tumbling(5_000)),
    'window-join-late-second': lateOf(marks, tumbling(5_000)),
    'co-group': sessions(both, group, () => 1_505).map(({ key, start, end, items: inWindow }) => {
      const second = inWindow.filter(isMark).length;
      return { group: key, start, end, first: inWindow.length - second, second };
    }),
    'interval-join': matching(items.filter(onTime), marks.filter(onTime), group)
      .filter(([a, b]) => b.time - a.time >= -500 && b.time - a.time < 1_000)
      .map(([a, b]) => pair(a, b)),
    'interval-join-late-second': ids(marks.filter((mark) => !onTime(mark))),
    'inner-join': matching(items.filter(every(5)), marks.filter(every(5)), group).map(([a, b]) => pair(a, b)),
    'full-join': outer(items.filter(every(10)), marks.filter(every(2)), (item) => item.group * 100 + item.amount),
    connected: items
      .filter((item) => !item.late)
      .map((item) => {
        const inTime = marks.filter(
          (mark) => !mark.late && mark.group === item.group && mark.time >= item.time && mark.time <= item.time + 3_005,
        );
        return { id: item.id, marks: inTime.length };
      }),
    alerts: [...by(items, group)].flatMap(([group, items]) =>
      Array.from({ length: ruleCount }, (_, rule) => ruleOf(rule))
        .filter(({ limit }) => total(items) > limit)
        .map(({ rule }) => ({ group, rule })),
    ),
  };
}

function outer(first: readonly Seen[], second: readonly Seen[], keyOf: (item: Item) => number): unknown[] {
  const [ofFirst, ofSecond] = [by(first, keyOf), by(second, keyOf)];
  return [
    ...first.flatMap((a) => (ofSecond.get(keyOf(a)) ?? [null]).map((b) => pair(a, b))),
    ...second.filter((b) => !ofFirst.has(keyOf(b))).map((b) => pair(null, b)),
  ];
}

function expectedChanges(items: readonly Seen[]): Record<string, readonly unknown[]> {
  const ofKeys = [...by(items, (item) => item.key)];
  const totals = ofKeys.map(([key, items]) => {
    const groups = new Set(items.map((item) => item.group)).size;
    const large = items.filter((item) => item.amount > 50).length;
    return { key, n: items.length, total: total(items), groups, large };
  });
  const table = ofKeys.map(([, items]) => items[items.length - 1]).filter(({ amount }) => amount % 3 !== 0);
  return {
    totals,
    'best-keys': [...by(totals, ({ key }) => key.split('-')[0]).values()].flatMap((totals) =>
      totals
        .sort((a, b) => b.total - a.total || (a.key < b.key ? -1 : 1))
        .slice(0, 3)
        .map(({ key, total }, at) => ({ rank: at + 1, key, total })),
    ),
    first: ofKeys.map(([, items]) => {
      const { id } = items.filter((item) => item.time > item.watermark).reduce((a, b) => (b.time < a.time ? b : a));
      return { id };
    }),
    last: ofKeys.map(([, items]) => ({ id: items[items.length - 1].id })),
    upserts: [...by(table, ({ amount }) => amount % 7)].map(([key, items]) => {
      return { key, n: items.length, mean: total(items) / items.length };
    }),
  };
}

function expectedFunctions(items: readonly Seen[]): Record<string, readonly unknown[]> {
  const ofKeys = [...by(items, (item) => item.key).values()];
  return {
    'state-kinds': ofKeys.flatMap((items) =>
      items.map(({ id }, at) => {
        const sum = total(items.slice(0, at + 1));
        const last = items.slice(at - (at % 4), at + 1).map((item) => item.id);
        return { id, last, sum, mean: Math.round((sum / (at + 1)) * 1_000) };
      }),
    ),
    expiring: ofKeys.flatMap((items) => {
      const onTime = items.filter((item) => !item.late);
      // Two of one key and time are one timer: the later is what it finds.
      const gone = [...new Map(onTime.map((item) => [item.time, item])).values()];
      const before = onTime.flatMap(({ id, time }, at) =>
        at > 0 && Math.abs(onTime[at - 1].time - time) < 4_005 / 2 ? [{ id, before: onTime[at - 1].id }] : [],
      );
      return [...gone.map(({ id }) => ({ id, gone: true })), ...before];
    }),
    'async-ordered': items.map(({ id, seq }) => ({ id, place: seq })),
    'async-unordered': ids(items),
    held: items.map(({ id }) => ({ id, hops: 3 })),
  };
}

/** @param records of each split */
export function expectedResults(records: number): Results {
  const of = (first: number, count: number): Seen[] =>
    Array.from({ length: count }, (_, split) => seenOf(first + split, records)).flat();
  const items = of(0, itemSplits);
  const marks = of(itemSplits, markSplits);
  const rows = {
    ...expectedWindows(items),
    ...expectedJoins(items, marks),
    ...expectedChanges(items),
    ...expectedFunctions(items),
  };
  return Object.fromEntries(
    Object.entries(rows).map(([name, values]) => [name, values.map((value) => JSON.stringify(value)).sort()]),
  );
}
