/**
 * A definition that no longer fits its state: refused by name before it runs, and the earlier definition, or one that fits, goes
 * on with everything in place.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

const total = 700;
const numbers = `env.from(generator({ count: ${total}, ratePerSecond: 2_000, make: (n) => n }), { uid: 'numbers' })`;
const sink = `.to(files.jsonl('out')).uid('results');`;
const fault = `if (n === 600) throw new Error('not yet');`;
const expected = Array.from({ length: total }, (_, n) => JSON.stringify([n % 7, Math.floor(n / 7) + 1])).sort();

/** Counts by key in a state declared and used like this. */
function job(state: string, count: string, more = ''): string {
  return `  ${numbers}.map((n) => { ${more} return n; }).uid('mapped').keyBy((n) => n % 7).process(emits<[number, number]>(), {
      state: { seen: ${state} },
      onRecord(n, call) { ${count} call.emit([n % 7, seen]); },
    }).uid('op')${sink}`;
}

const asValue = 'const seen = (call.state.seen.value() ?? 0) + 1; call.state.seen.update(seen);';
const asMap = `const seen = (call.state.seen.get('n') ?? 0) + 1; call.state.seen.set('n', seen);`;
const asList = 'call.state.seen.add(n); const seen = [...call.state.seen].length;';

test.each([
  ['value', 'map', 'valueState<number>()', asValue, 'mapState<string, number>()', asMap],
  ['map', 'list', 'mapState<string, number>()', asMap, 'listState<number>()', asList],
  ['list', 'value', 'listState<number>()', asList, 'valueState<number>()', asValue],
])(
  'a %s that became a %s is refused by name, and the earlier one goes on',
  async (_before, _now, state, use, changed, useChanged) => {
    project.writeJob(job(state, use, fault));
    expectRefusal(await project.run('--max-restarts', '0'), /not yet/);
    project.writeJob(job(changed, useChanged));
    expectRefusal(
      await project.run(),
      /(state 'seen'[\s\S]*operator 'op'|operator 'op'[\s\S]*seen)[\s\S]*GRAPH_CHANGED[\s\S]*\n→ /,
    );
    project.writeJob(job(state, use));
    expectFinished(await project.run());
    expect(await project.results()).toEqual(expected);
  },
);

test.each([
  ['added', 'valueState<number>()', 'valueState<number>({ ttl: hours(1) })'],
  ['removed', 'valueState<number>({ ttl: hours(1) })', 'valueState<number>()'],
])('a time to live that was %s either fits the state or is refused by name', async (_what, before, now) => {
  project.writeJob(job(before, asValue, fault));
  expectRefusal(await project.run('--max-restarts', '0'), /not yet/);
  project.writeJob(job(now, asValue));
  const changed = await project.run();
  if (changed.code !== 0) {
    expectRefusal(changed, /'?seen'?[\s\S]*GRAPH_CHANGED[\s\S]*\n→ /);
    project.writeJob(job(before, asValue));
    expectFinished(await project.run());
  }
  expect(await project.results()).toEqual(expected);
});

test('an operator that was removed while it has state is refused by name, and goes on when it is back', async () => {
  project.writeJob(job('valueState<number>()', asValue, fault));
  expectRefusal(await project.run('--max-restarts', '0'), /not yet/);
  project.writeJob(`  ${numbers}.map((n) => [n % 7, 1]).uid('mapped')${sink}`);
  expectRefusal(await project.run(), /'?op'?[\s\S]*GRAPH_CHANGED[\s\S]*\n→ /);
  project.writeJob(job('valueState<number>()', asValue));
  expectFinished(await project.run());
  expect(await project.results()).toEqual(expected);
});
