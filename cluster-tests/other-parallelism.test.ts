/** A job that is killed goes on with another parallelism: results are those of an undisturbed run. Needs the build. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCommitted } from 'millrace/files';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MillraceRun } from './millrace-run.ts';

const recordCount = 40_000;
const jobText = `import { count, defineJob, params, tumbling } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

export default defineJob('numbers', (env) => {
  const { output } = env.params({ output: params.string() });
  const numbers = env
    .from(generator({ count: ${recordCount}, ratePerSecond: 4_000, splits: 4, make: (n) => n }), { uid: 'numbers' })
    .withTimestamps((n) => n, { outOfOrderness: 0 })
    .uid('times');
  numbers.keyBy((n) => n % 7).aggregate({ seen: count() }).uid('rolling').to(files.jsonl(output + '/rolling')).uid('all');
  numbers.keyBy((n) => n % 11).window(tumbling(1_000)).aggregate({ seen: count() }).uid('windows').to(files.jsonl(output + '/windows')).uid('w');
});
`;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-parallelism-'));
  writeFileSync(join(directory, 'job.ts'), jobText);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function start(parallelism: number): MillraceRun {
  return new MillraceRun({
    job: join(directory, 'job.ts'),
    stateDirectory: join(directory, 'state'),
    checkpointInterval: '100ms',
    flags: ['--parallelism', String(parallelism)],
    parameters: { output: directory },
  });
}

async function committed<T>(name: string): Promise<readonly T[]> {
  const results: T[] = [];
  for await (const { line } of readCommitted(join(directory, name))) results.push(JSON.parse(line) as T);
  return results;
}

test('every record counts once when a job is killed and goes on with other parallelisms', {
  timeout: 120_000,
}, async () => {
  for (const parallelism of [1, 3]) {
    const run = start(parallelism);
    for (let completed = 0; completed < 3; completed++) {
      expect(await run.untilCheckpoint(), run.output).not.toBeNull();
    }
    run.kill();
    await run.exited;
  }
  const summary = await start(2).finished();
  expect(summary.restored?.sourceRecords).toBeGreaterThan(0);
  expect(summary.recordsIn).toBe(recordCount);

  const rolling = await committed<{ key: number; seen: number }>('rolling');
  const seen = rolling.map(({ key, seen: times }) => `${key} ${times}`);
  const expected = Array.from({ length: recordCount }, (_, n) => `${n % 7} ${Math.floor(n / 7) + 1}`);
  expect(seen.sort()).toEqual(expected.sort());

  const windows = await committed<{ key: number; windowStart: number; seen: number }>('windows');
  expect(windows).toHaveLength((recordCount / 1_000) * 11);
  expect(windows.reduce((sum, window) => sum + window.seen, 0)).toBe(recordCount);
});
