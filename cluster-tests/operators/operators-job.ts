/**
 * Every operator of the stream API over paced records, out of order and some late, each branch into a sink of its own. All
 * results are functions of the records alone: where an operator depends on the order of arrival its keys are of one split.
 */
import { defineJob, params } from 'millrace';
import { generator } from 'millrace/generator';
import { type Item, itemOf, itemSplits, markSplits, outOfOrdernessMs, type Rule, ruleCount, ruleOf } from './items.ts';
import { joinBranches } from './join-branches.ts';
import { changeBranches, functionBranches } from './state-branches.ts';
import { generalWindowBranches, windowBranches } from './window-branches.ts';

export default defineJob(
  'operators',
  (env) => {
    const { output, records, seconds } = env.params({
      output: params.string({ description: 'directory of the results' }),
      records: params.integer({ description: 'records of a split' }),
      seconds: params.integer({ description: 'how long the input takes' }),
    });
    const stream = (uid: string, firstSplit: number, splits: number) =>
      env
        .from(
          generator<Item>({
            count: splits * records,
            ratePerSecond: (splits * records) / seconds,
            splits,
            make: (index) => itemOf(firstSplit + (index % splits), Math.floor(index / splits)),
          }),
          { uid },
        )
        .withTimestamps((item) => item.time, { outOfOrderness: outOfOrdernessMs })
        .uid(`${uid}-times`);
    const items = stream('items', 0, itemSplits);
    const marks = stream('marks', itemSplits, markSplits);
    const rules = env.from(generator<Rule>({ count: ruleCount, ratePerSecond: ruleCount / seconds, make: ruleOf }), {
      uid: 'rules',
      parallelism: 1,
    });
    windowBranches(items, output);
    generalWindowBranches(items, output);
    joinBranches({ items, marks, rules }, output);
    changeBranches(items, output);
    functionBranches(items, output);
  },
  { checkpointsRetained: 1 },
);
