/** Event times that nobody means: named with what to do, and no window ends early because of them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

/** 100 records, one each hour from the first of 2026; the one in the middle has the time `odd`, an expression. */
function writeJob(odd: string, options = ''): void {
  project.writeJob(`  env.from(generator({ count: 100, make: (n) => n }), { uid: 'in' })
    .withTimestamps((n) => (n === 50 ? ${odd} : Date.UTC(2026, 0) + n * 3_600_000), { outOfOrderness: 0${options} }).uid('times')
    .keyBy(() => 'all').window(tumbling(hours(24))).aggregate({ seen: count() }).uid('days')
    .to(files.jsonl('out')).uid('results');`);
}

async function seenPerWindow(): Promise<readonly number[]> {
  return (await project.results()).map((line) => (JSON.parse(line) as { seen: number }).seen);
}

const year9999 = 'Date.UTC(9999, 11, 31)';

test.each([
  ['of the year 9999', year9999, /by default up to the year 2999; correct it, set maxTimestamp/],
  [
    'in microseconds',
    '1_000 * Date.UTC(2026, 0, 3, 2)',
    /in microseconds it would be 2026-01-03T02:00:00\.000Z: divide it by 1000/,
  ],
] as const)('a time %s is refused by name, and the mended job has every record', async (_what, odd, message) => {
  writeJob(odd);
  const refused = await project.run('--max-restarts', '0');
  expectRefusal(refused, message);
  expect(refused.stderr).toMatch(/operator 'times' got \d+ as the timestamp of a record/);
  writeJob('Date.UTC(2026, 0, 3, 2)');
  expectFinished(await project.run());
  expect(await seenPerWindow()).toEqual([24, 24, 24, 24, 4]);
});

test('a time of the year 9999 ends no window when bad times are skipped, and all when it is allowed', async () => {
  writeJob(year9999, `, onBadTimestamp: 'skip'`);
  expectFinished(await project.run());
  expect(await seenPerWindow()).toEqual([24, 24, 23, 24, 4]);
  project.dispose();
  project = new ScratchProject();
  writeJob(year9999, `, maxTimestamp: ${year9999}`);
  expectFinished(await project.run());
  expect(await seenPerWindow()).not.toEqual([24, 24, 23, 24, 4]);
});

test('times before 1970 have windows like any other', async () => {
  project.writeJob(`  env.from(generator({ count: 48, make: (n) => n }), { uid: 'in' })
    .withTimestamps((n) => Date.UTC(1969, 11, 31) + n * 3_600_000, { outOfOrderness: 0 }).uid('times')
    .keyBy(() => 'all').window(tumbling(hours(24))).aggregate({ seen: count() }).uid('days')
    .to(files.jsonl('out')).uid('results');`);
  expectFinished(await project.run());
  expect((await project.results()).map((line) => JSON.parse(line) as unknown)).toEqual(
    expect.arrayContaining([
      { key: 'all', windowStart: -86_400_000, windowEnd: 0, seen: 24 },
      { key: 'all', windowStart: 0, windowEnd: 86_400_000, seen: 24 },
    ]),
  );
  expect(await seenPerWindow()).toHaveLength(2);
});

test.each([
  ['registerEventTime', '1e300', '1e\\+300'],
  ['registerProcessingTime', 'Number.NaN', 'NaN'],
] as const)('a timer by %s at %s is refused with operator and key', async (method, time, shown) => {
  const write = (timeMs: string): void =>
    project.writeJob(`  env.from(generator({ count: 10, make: (n) => n }), { uid: 'in' })
    .withTimestamps((n) => n, { outOfOrderness: 1_000 }).uid('times')
    .keyBy((n) => 'k' + n % 2).process(emits<string>(), {
      onRecord: (n, context) => context.timers.${method}(${timeMs}),
      onTimer: (_time, { key, emit }) => emit(key),
    }).uid('alarms').to(files.jsonl('out')).uid('results');`);
  write(time);
  const refused = await project.run('--max-restarts', '0');
  expectRefusal(refused, new RegExp(`'alarms' threw RangeError: a timer needs a time .* got ${shown} for key "k0"`));
  write('1_000');
  expectFinished(await project.run());
  // A clock is far beyond 1970: each record's timer fires at once there.
  const fired = new Set(await project.results());
  expect(fired).toEqual(new Set(['"k0"', '"k1"']));
});

test('timers counted from the watermark fire before the first watermark, and end where they renew themselves at the end', async () => {
  project.writeJob(`  env.from(generator({ count: 10, make: (n) => n }), { uid: 'in' })
    .withTimestamps((n) => n, { outOfOrderness: 1_000 }).uid('times')
    .keyBy((n) => 'k' + n % 2).process(emits<string>(), {
      onRecord: (n, context) => context.timers.registerEventTime(context.watermark + 1_000),
      onTimer: (_time, context) => {
        context.emit(context.key);
        context.timers.registerEventTime(context.watermark + 1_000);
      },
    }).uid('alarms').to(files.jsonl('out')).uid('results');`);
  expectFinished(await project.run('--max-restarts', '0'));
  expect(new Set(await project.results())).toEqual(new Set(['"k0"', '"k1"']));
});
