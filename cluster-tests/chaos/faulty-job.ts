/** A job whose map function misbehaves at one record: once, or each time it sees it. What it does is a parameter. */
import { existsSync, writeFileSync } from 'node:fs';
import { defineJob, params } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

const faults: Readonly<Record<string, () => void>> = {
  none: () => undefined,
  throw: () => {
    throw new Error('planted failure');
  },
  spin: () => {
    for (;;);
  },
  exit: () => process.exit(3),
  reject: () => {
    void Promise.reject(new Error('planted rejection'));
  },
  allocate: () => {
    const kept: number[][] = [];
    for (;;) kept.push(new Array<number>(10_000).fill(kept.length));
  },
};

export default defineJob('faulty', (env) => {
  const { fault, at, once, output } = env.params({
    fault: params.choice(['none', 'throw', 'spin', 'exit', 'reject', 'allocate']),
    at: params.integer({ description: 'number of the record' }),
    once: params.string({ description: 'file made at the first time, so that there is no second; empty: each time', default: '' }),
    output: params.string({ description: 'directory of the results' }),
  });
  env
    .from(generator({ count: 20_000, ratePerSecond: 20_000, make: (index) => ({ index }) }), { uid: 'numbers' })
    .map((record) => {
      if (record.index === at && (once === '' || !existsSync(once))) {
        if (once !== '') writeFileSync(once, '');
        faults[fault]?.();
      }
      return record;
    })
    .uid('faulty-map')
    .keyBy((record) => record.index % 10)
    .reduce((left, right) => (left.index >= right.index ? left : right))
    .uid('newest')
    .to(files.jsonl(`${output}/newest`))
    .uid('newest-out');
}, { restart: { kind: 'fixed-delay', delayMs: 50, attemptsMax: 3 } });
