/** Ticks at a fixed rate through one exchange to a sink that writes at once, without transactions: a line with the time of each. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { defineJob, params } from 'millrace';
import type { PreparedCommit, Sink } from 'millrace/connector';
import { generator } from 'millrace/generator';

const nothing: PreparedCommit = { committables: [], state: [] };

/** A file for each attempt and subtask. */
function clockSink(directory: string): Sink<number> {
  return {
    type: 'sink',
    kind: 'benchmark.clock',
    options: { directory },
    createWriter: ({ attempt, subtaskIndex }) => {
      const file = openSync(join(directory, `${attempt}-${subtaskIndex}.log`), 'a');
      return {
        open: async () => undefined,
        write: () => void writeSync(file, `${Date.now()}\n`),
        hasRoom: true,
        drained: async () => undefined,
        prepareCommit: async () => nothing,
        close: async () => closeSync(file),
      };
    },
    createCommitter: null,
    destination: null,
    occupation: async () => null,
  };
}

export default defineJob('failover', (env) => {
  const { directory, rate } = env.params({ directory: params.string(), rate: params.number({ default: 2_000 }) });
  env
    .from(generator({ count: 1_000_000_000, splits: env.parallelism, ratePerSecond: rate, make: (index) => index }))
    .keyBy((index) => index % 1_000)
    .reduce((_before, index) => index)
    .uid('newest')
    .to(clockSink(directory));
});
