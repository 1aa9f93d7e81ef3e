/**
 * Values that cannot be encoded. Within one slot records pass by reference, so only state and sinks look at them; between
 * slots the channel does. Each names operator and path, and trying again is no help.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

const aFunction = '{ k: n % 3, a: { b: () => n } }';
const anInstance = '{ k: n % 3, a: [new URL("http://localhost/")] }';
const aCycle = '((row) => { row.me = row; return row; })({ k: n % 3 } as Record<string, unknown>)';
const plain = '{ k: n % 3 }';

/** Where the value has to be encoded, as the rest of a job after the map. */
const places = {
  channel: `.keyBy((row) => row.k as number).aggregate({ seen: count() }).uid('counts').map((row) => row.seen)`,
  state: `.keyBy((row) => row.k as number).process(emits<number>(), {
      state: { kept: valueState<unknown>() },
      onRecord(row, context) { context.state.kept.update(row); context.emit(1); },
    }).uid('keeper')`,
  reduce: `.keyBy((row) => row.k as number).reduce((_, row) => row).uid('reduced').map(() => 1)`,
  sink: '',
};

function writeJob(value: string, place: keyof typeof places): void {
  project.writeJob(`  env.from(generator({ count: 30, make: (n) => n }), { uid: 'in' })
    .map((n): Record<string, unknown> => (${value})).uid('made')${places[place]}
    .to(files.jsonl('out')).uid('results');`);
}

test.each([
  [
    'a function',
    'to another slot',
    aFunction,
    'channel',
    ['--parallelism', '2'],
    /operator made .*\$\.a\.b is a function/,
  ],
  [
    'a cycle',
    'to another slot',
    aCycle,
    'channel',
    ['--parallelism', '2'],
    /operator made .*\$\.me is an object that contains itself/,
  ],
  [
    'a function',
    'into state',
    aFunction,
    'state',
    [],
    /state 'kept' of operator 'keeper', key 0: .*\$\.a\.b is a function/,
  ],
  [
    'a class instance',
    'into state',
    anInstance,
    'reduce',
    [],
    /operator 'reduced', key 0: .*\$\.a\[0\] is an instance of URL/,
  ],
  ['a cycle', 'into state', aCycle, 'state', [], /\$\.me is an object that contains itself[\s\S]*job\.ts:\d+/],
  ['a function', 'into a file', aFunction, 'sink', [], /field a\.b is a function[\s\S]*operator +results/],
  ['a class instance', 'into a file', anInstance, 'sink', [], /field a\.0 is a URL[\s\S]*operator +results/],
] as const)('%s that goes %s is refused with operator and path', async (_what, _where, value, place, args, message) => {
  writeJob(value, place);
  const refused = await project.run(...args);
  expectRefusal(refused, message);
  expect(refused.stderr).toMatch(/VALUE_NOT_ENCODABLE[\s\S]*\n→ (convert|map)/);
  expect(await project.results()).toEqual([]);
  writeJob(plain, place);
  expectFinished(await project.run(...args));
  expect(await project.results()).toHaveLength(30);
});

test('a value that is never encoded passes by reference within a slot', async () => {
  writeJob(aFunction, 'channel');
  expectFinished(await project.run());
  expect(await project.results()).toHaveLength(30);
});
