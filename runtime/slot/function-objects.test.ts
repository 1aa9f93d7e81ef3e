/** Functions with `open` and `close` in every operator whose type takes them: opened before the first record, closed after the last. */
import { expect, it } from 'vitest';
import { defineJob, functionsFingerprint, type JobEnvironment, planJob, type Stream } from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';

/** A function object that notes its life and counts on `this`. */
class Noting<In extends readonly unknown[], Out> {
  readonly #log: string[];
  readonly #run: (...values: In) => Out;
  #open = false;

  constructor(log: string[], run: (...values: In) => Out) {
    this.#log = log;
    this.#run = run;
  }

  open(): void {
    this.#open = true;
    this.#log.push('open');
  }

  call(...values: In): Out {
    if (!this.#open) throw new Error('called before open or after close');
    return this.#run(...values);
  }

  close(): void {
    this.#open = false;
    this.#log.push('close');
  }
}

type Build = (numbers: Stream<number>, env: JobEnvironment, log: string[]) => Stream<unknown>;

const sideOf = (numbers: Stream<number>, env: JobEnvironment) =>
  numbers.broadcastInput(env.from(collection([10]), { uid: 'side' }), (all) => all[0] ?? 0);

const cases: [string, Build, unknown[]][] = [
  ['map', (numbers, _, log) => numbers.map(new Noting(log, (n: number) => n + 1)), [2, 3, 4]],
  ['filter', (numbers, _, log) => numbers.filter(new Noting(log, (n: number) => n > 1)), [2, 3]],
  ['flatMap', (numbers, _, log) => numbers.flatMap(new Noting(log, (n: number) => [n, -n])), [1, -1, 2, -2, 3, -3]],
  [
    'asyncMap',
    (numbers, _, log) => numbers.asyncMap(new Noting(log, (n: number) => Promise.resolve(n * 2))),
    [2, 4, 6],
  ],
  [
    'asyncFlatMap',
    (numbers, _, log) => numbers.asyncFlatMap(new Noting(log, (n: number) => Promise.resolve(new Set([n, 0])))),
    [1, 0, 2, 0, 3, 0],
  ],
  [
    'reduce',
    (numbers, _, log) => numbers.keyBy(() => 'all').reduce(new Noting(log, (a: number, b: number) => a + b)),
    [1, 3, 6],
  ],
  [
    'broadcastInput map',
    (numbers, env, log) => sideOf(numbers, env).map(new Noting(log, (n: number, side: number) => n * side)),
    [10, 20, 30],
  ],
  [
    'broadcastInput filter',
    (numbers, env, log) => sideOf(numbers, env).filter(new Noting(log, (n: number, side: number) => n * 5 > side)),
    [3],
  ],
  [
    'broadcastInput flatMap',
    (numbers, env, log) => sideOf(numbers, env).flatMap(new Noting(log, (n: number, side: number) => [n, side])),
    [1, 10, 2, 10, 3, 10],
  ],
];

const jobOf = (build: Build, log: string[]) =>
  planJob(
    defineJob('objects', (env) => {
      build(env.from(collection([1, 2, 3]), { uid: 'numbers' }), env, log).collect('out');
    }),
  );

it.each(cases)(
  '%s opens its function object before the first record and closes it after the last',
  async (_, build, expected) => {
    const log: string[] = [];
    const delivered = new Deliveries();
    const harness = await new SlotHarness({ job: jobOf(build, log), onDelivery: delivered.take }).start();
    expect(log).toEqual(['open']);
    await harness.finish();
    expect([delivered.channels.get('out'), log]).toEqual([expected, ['open', 'close']]);
  },
);

it('broadcastInput changes its fingerprint when a function of its object changes', () => {
  const of = (build: Build) => {
    const { functions } = jobOf(build, []);
    const fingerprint = functionsFingerprint(functions);
    return Object.entries(fingerprint).find(([id]) => id.startsWith('broadcast-input'))?.[1];
  };
  const multiply = () =>
    of((numbers, env) => sideOf(numbers, env).map({ call: (n: number, side: number) => n * side }));
  expect(multiply()).toBe(multiply());
  expect(of((numbers, env) => sideOf(numbers, env).map({ call: (n: number, side: number) => n - side }))).not.toBe(
    multiply(),
  );
  expect(
    of((numbers, env) =>
      sideOf(numbers, env).map({ open: () => undefined, call: (n: number, side: number) => n * side }),
    ),
  ).not.toBe(multiply());
});
