/**
 * The operators of the stream API under the simulator: any interleaving, crashes and other parallelisms give the same
 * results. The jobs are those of operators-job.ts, on fewer records.
 */
import { expect, test } from 'vitest';
import { defineJob, type JobEnvironment } from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { type Item, itemOf, itemSplits, markSplits, outOfOrdernessMs, type Rule, ruleCount, ruleOf } from './items.ts';
import { joinBranches } from './join-branches.ts';
import { generalWindowBranches, windowBranches } from './window-branches.ts';
import { formatSimulation, simulateJob, splits } from '../../testing/kit/index.ts';

const records = 60;
const seeds = 12;
const itemsOf = (first: number, count: number) =>
  splits(
    ...Array.from({ length: count }, (_, at) => Array.from({ length: records }, (_, seq) => itemOf(first + at, seq))),
  );
const inputs = {
  items: itemsOf(0, itemSplits),
  marks: itemsOf(itemSplits, markSplits),
  rules: Array.from({ length: ruleCount }, (_, rule) => ruleOf(rule)),
};

const timed = (env: JobEnvironment, uid: string) =>
  env
    .from(collection<Item>([]), { uid })
    .withTimestamps((item) => item.time, { outOfOrderness: outOfOrdernessMs })
    .uid(`${uid}-times`);

const jobs = {
  windows: defineJob('windows', (env) => windowBranches(timed(env, 'items'), 'out')),
  'general windows': defineJob('general-windows', (env) => generalWindowBranches(timed(env, 'items'), 'out')),
  joins: defineJob('joins', (env) => {
    const rules = env.from(collection<Rule>([]), { uid: 'rules', parallelism: 1 });
    joinBranches({ items: timed(env, 'items'), marks: timed(env, 'marks'), rules }, 'out');
  }),
};

test.each([
  ['windows', 'memory', {}],
  ['general windows', 'cold', {}],
  // The order of arrival decides which rows an outer join takes back.
  ['joins', 'cold', { 'full-join-out': { ignore: true } }],
] as const)('%s give the same results on the %s backend whatever happens', async (name, backend, sinks) => {
  const own = name === 'joins' ? inputs : { items: inputs.items };
  const result = await simulateJob(jobs[name], { inputs: own, seeds, backend, sinks, faults: { rescale: true } });
  expect(formatSimulation(result)).toMatch(/^same results/);
});
