/**
 * Functions of the stream API that misbehave: they keep their context, are asynchronous where nobody waits, give nonsense to
 * windows and joins, or never answer. Each is named with what to do, and the mended job goes on exactly where it was.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

const total = 700;
/** Numbers slow enough for checkpoints before the record at which it goes wrong. */
const numbers = `env.from(generator({ count: ${total}, ratePerSecond: 2_000, make: (n) => n }), { uid: 'numbers' })
    .withTimestamps((n: number) => n, { outOfOrderness: 0 }).uid('timed')`;
const sink = `.to(files.jsonl('out')).uid('results');`;

/** Fails when `fault` is in the job, and gives the results of an undisturbed run once it is mended. */
async function expectMended(job: (fault: boolean) => string, message: RegExp): Promise<readonly string[]> {
  project.writeJob(job(true));
  expectRefusal(await project.run('--max-restarts', '0'), message);
  project.writeJob(job(false));
  expectFinished(await project.run());
  return project.results();
}

const all = Array.from({ length: total }, (_, n) => String(n)).sort();

test.each([
  [
    'uses its context after the call',
    'if (n === 600) { setTimeout(() => call.emit(-1), 0); return; }',
    /error: operator 'op' used emit of its context after the call[\s\S]*\n→ use it before the function returns.*asyncMap/,
  ],
  [
    'catches that',
    'if (n === 600) { Promise.resolve().then(() => call.emit(-1)).catch(() => {}); return; }',
    /error: operator 'op' used emit of its context after the call/,
  ],
  [
    'stores after the call',
    'if (n === 600) { Promise.resolve().then(() => call.state.seen.update(-1)).catch(() => {}); return; }',
    /error: operator 'op' used state, timers or key of its context after the call/,
  ],
  [
    'returns a promise',
    'if (n === 600) return (async () => { await null; call.emit(-1); })() as never;',
    /error: onRecord of operator 'op' returned a promise[\s\S]*\n→ make it synchronous, and put asyncMap/,
  ],
])('a process function that %s is named, and the mended job loses nothing', async (_what, fault, message) => {
  const results = await expectMended(
    (faulty) => `  ${numbers}.keyBy((n) => n % 7).process(emits<number>(), {
      state: { seen: valueState<number>() },
      onRecord(n, call) {
        ${faulty ? fault : ''}
        call.state.seen.update(n);
        call.emit(n);
      },
    }).uid('op')${sink}`,
    message,
  );
  expect(results).toEqual(all);
});

test('what is emitted in close is refused, not dropped', async () => {
  const results = await expectMended(
    (faulty) => `  let kept: { emit(n: number): void } | undefined;
  ${numbers}.keyBy((n) => n % 7).process(emits<number>(), {
      onRecord(n, call) { kept = call; call.emit(n); },
      close() { ${faulty ? 'kept?.emit(-1);' : ''} },
    }).uid('op')${sink}`,
    /error: operator 'op' used emit of its context after the call[\s\S]*at Object\.close/,
  );
  expect(results).toEqual(all);
});

/** Windows of 100 records each that are counted, and one fault at record 600. */
test.each([
  [
    'a gap of zero',
    (faulty: boolean) =>
      `.window(session((n: number) => ${faulty ? 'n === 600 ? 0 : 5' : '5'})).aggregate({ seen: count() }).uid('op').map((row) => row.seen).uid('m')`,
    /error: the function of operator 'op' threw RangeError: the gap of a session must be milliseconds of 1 or more.* returned 0/,
    [String(total)],
  ],
  [
    'a gap that is no number, with a function',
    (faulty: boolean) =>
      `.window(session((n: number) => ${faulty ? 'n === 600 ? NaN : 5' : '5'})).process(emits<number>(), { onWindow(all, { emit }) { emit(all.length); } }).uid('op')`,
    /error: the function of operator 'op' threw RangeError: the gap function of the session window returned NaN/,
    [String(total)],
  ],
  [
    'an evictor that returns no elements',
    (faulty: boolean) =>
      `.window(tumbling(100)).evictor({ evictBefore: (all) => ${faulty ? 'all[0]?.value === 600 ? 5 as never : all' : 'all'} }).process(emits<number>(), { onWindow(all, { emit }) { emit(all.length); } }).uid('op')`,
    /error: the function of operator 'op' threw TypeError: evictBefore of the evictor returned\s+number; return an array of the elements that stay/,
    Array.from({ length: 7 }, () => '100'),
  ],
  [
    'a window function that is asynchronous',
    (faulty: boolean) =>
      `.window(tumbling(100)).process(emits<number>(), { onWindow(all, { emit }) { ${faulty ? 'if (all[0] === 600) return Promise.resolve() as never;' : ''} emit(all.length); } }).uid('op')`,
    /error: onWindow of operator 'op' returned a promise/,
    Array.from({ length: 7 }, () => '100'),
  ],
])('%s is named, and the windows of the mended job are whole', async (_what, windows, message, expected) => {
  const results = await expectMended((faulty) => `  ${numbers}.keyBy(() => 0)${windows(faulty)}${sink}`, message);
  expect(results).toEqual(expected);
});

test('a timer at a time that no Date can hold is refused by name instead of a loop without end behind it', async () => {
  const results = await expectMended(
    (faulty) => `  const late = ${numbers}.keyBy(() => 0).process(emits<number>(), {
      onRecord(n, { emit, timers }) { ${faulty ? 'if (n === 600) timers.registerEventTime(1e308);' : ''} emit(n); },
      onTimer(time, { emit }) { ${faulty ? 'emit(-1);' : ''} },
    }).uid('timers');
  const other = env.from(generator({ count: 10, make: (n) => n }), { uid: 'others' }).withTimestamps((n: number) => n, { outOfOrderness: 0 }).uid('timed-2');
  late.keyBy(() => 0).intervalJoin(other.keyBy(() => 0), { lower: 0, upper: 0 }, (n) => n).uid('op')${sink}`,
    /error: the function of operator 'timers' threw RangeError: a timer needs a time .* got 1e\+308 for key 0/,
  );
  expect(results).toEqual(all.filter((n) => Number(n) < 10));
});

test('an answer that never comes is named after its timeout, and the record is sent again by the mended job', async () => {
  const results = await expectMended(
    (faulty) =>
      `  ${numbers}.asyncMap((n) => ${faulty ? 'n === 600 ? new Promise<number>(() => {}) : ' : ''}Promise.resolve(n), { timeout: 300 }).uid('op')${sink}`,
    /error: operator 'op' had no answer for a record within 300 ms[\s\S]*\n→ raise timeout, or say .* onTimeout/,
  );
  expect(results).toEqual(all);
});

test.each([
  [
    'keeps its records',
    `.window(sliding(20_000, 1)).process(emits<number>(), { onWindow() {} })`,
    /every record would be in 20000 windows, and at most 10000/,
  ],
  [
    'aggregates',
    `.window(sliding(hours(1_000), 1)).aggregate({ seen: count() })`,
    /every record would be in 3600000000 windows, and at most 100000/,
  ],
])(
  'a sliding window with too many windows a record is refused before it runs when it %s',
  async (_what, windows, message) => {
    project.writeJob(`  ${numbers}.keyBy(() => 0)${windows}.uid('op')${sink}`);
    expectRefusal(await project.run(), message);
  },
);

test('partitions that do not exist are refused with what would be one', async () => {
  const results = await expectMended(
    (faulty) =>
      `  ${numbers}.partitionCustom((n) => n, (n, count) => ${faulty ? 'n === 600 ? count : 0' : '0'}).map((n) => n).uid('op')${sink}`,
    /error: the partitionCustom function before operator 'op' returned 1[\s\S]*\n→ return a whole number of 0 to 0/,
  );
  expect(results).toEqual(all);
});
