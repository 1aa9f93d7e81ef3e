/** Types of the kit as a test sees them. `tsc` checks this file, too: what must not compile is marked. */
import { expectTypeOf, test } from 'vitest';
import { collection } from '../../connectors/collection/index.ts';
import { count, defineJob, type FailedRecord, hours, outputTag, type Stream, tumbling } from '../../client/index.ts';
import {
  at,
  type CapturedRecord,
  checkpoint,
  type DivergenceCause,
  generated,
  type InputElement,
  type JobInput,
  runJob,
  simulateJob,
  splits,
  testOperator,
  watermark,
} from './index.ts';

interface Click {
  readonly user: string;
}
interface Page {
  readonly path: string;
}

const failed = outputTag<FailedRecord<Click>>('failed');
const job = defineJob('typed', (env) => env.from(collection([1]), { uid: 'numbers' }).collect('out'));

test('testOperator takes its types from the call that makes the operator', async () => {
  const h = await testOperator((clicks: Stream<Click>) => clicks.map((click) => click.user.length));
  expectTypeOf(h.push).parameter(0).toEqualTypeOf<Click>();
  expectTypeOf(h.outputs()).toEqualTypeOf<number[]>();
  expectTypeOf(h.records()).toEqualTypeOf<CapturedRecord<number>[]>();
  expectTypeOf(h.late()).toEqualTypeOf<Click[]>();
  expectTypeOf(h.sideOutput(failed)).toEqualTypeOf<FailedRecord<Click>[]>();
  // Without a second input there is nothing to give to it.
  expectTypeOf(h.pushSecond).parameter(0).toBeNever();
  // @ts-expect-error a record of another type
  const wrong = () => h.push({ path: '/' });
  // @ts-expect-error rows have four kinds
  const kind = () => h.push({ user: 'ada' }, { rowKind: 4 });
  expectTypeOf(wrong).toBeFunction();
  expectTypeOf(kind).toBeFunction();
  await h.close();
});

test('testOperator gives windows the type of their results, and two inputs a type each', async () => {
  const windows = await testOperator((clicks: Stream<Click>) =>
    clicks
      .keyBy((click) => click.user)
      .window(tumbling(hours(1)))
      .aggregate({ clicks: count() }),
  );
  expectTypeOf(windows.outputs()).items.toMatchObjectType<{ key: string; windowStart: number; clicks: number }>();
  const two = await testOperator((clicks: Stream<Click>, pages: Stream<Page>) =>
    clicks.connect(pages).map(
      (click) => click.user,
      (page) => page.path,
    ),
  );
  expectTypeOf(two.push).parameter(0).toEqualTypeOf<Click>();
  expectTypeOf(two.pushSecond).parameter(0).toEqualTypeOf<Page>();
  expectTypeOf(two.outputs()).toEqualTypeOf<string[]>();
  expectTypeOf(two.lateSecond()).toEqualTypeOf<Page[]>();
  // @ts-expect-error records of the inputs are not mixed up
  const mixed = () => two.pushSecond({ user: 'ada' });
  expectTypeOf(mixed).toBeFunction();
  await windows.close();
  await two.close();
});

test('runJob and simulateJob take inputs of values and elements, and give what the test says it gets', async () => {
  expectTypeOf(at(1, { user: 'ada' })).toEqualTypeOf<InputElement<{ user: string }>>();
  expectTypeOf(generated(3, (index) => index)).toEqualTypeOf<InputElement<number>>();
  const clicks: JobInput<Click> = [{ user: 'ada' }, at(5, { user: 'bob' }), watermark(5), checkpoint()];
  const parts: JobInput<Click> = splits<Click>([{ user: 'ada' }], [watermark(1)]);
  // @ts-expect-error a record of another type in a typed input
  const wrong: JobInput<Click> = [{ path: '/' }];
  expectTypeOf([clicks, parts, wrong]).items.toEqualTypeOf<JobInput<Click>>();
  const result = await runJob(job, { inputs: { numbers: [1] } });
  expectTypeOf(result.outputs<number>('out')).toEqualTypeOf<number[]>();
  expectTypeOf(result.collected).toEqualTypeOf<Readonly<Record<string, readonly unknown[]>>>();
  const { violations } = await simulateJob(job, { inputs: { numbers: [1] }, seeds: 1 });
  expectTypeOf(violations).items.toHaveProperty('cause').toEqualTypeOf<DivergenceCause>();
  // @ts-expect-error no such fault
  const fault = () => simulateJob(job, { faults: { crash: 1 } });
  // @ts-expect-error no such backend
  const backend = () => runJob(job, { backend: 'rocksdb' });
  expectTypeOf([fault, backend]).items.toBeFunction();
});
