/** An unbounded source that says nothing after its first record: what an idle engine costs. */
import { defineJob } from 'millrace';
import { generator } from 'millrace/generator';

export default defineJob('silent', (env) => {
  env.from(generator({ ratePerSecond: 1e-6, make: (index) => ({ index }) })).print();
});
