/** A job that does little, for a long time. */
import { defineJob, params } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

export default defineJob('steady', (env) => {
  const { output } = env.params({ output: params.string({ description: 'directory of the results' }) });
  env
    .from(generator({ count: 10_000_000, ratePerSecond: 100, make: (index) => ({ index }) }), { uid: 'numbers' })
    .to(files.jsonl(output))
    .uid('out');
});
