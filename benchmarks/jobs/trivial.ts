/** The smallest job: one record to standard output. */
import { defineJob } from 'millrace';
import { generator } from 'millrace/generator';

export default defineJob('trivial', (env) => {
  env.from(generator({ count: 1, make: (index) => ({ index }) })).print();
});
