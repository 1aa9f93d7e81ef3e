/** Jobs in a mini cluster: real threads, TCP between slots, checkpoints on disk. Built files are needed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { milliseconds } from '../../../client/index.ts';
import { type MiniCluster, miniCluster, type MiniClusterOptions } from '../index.ts';

let directory: string;
let clusters: MiniCluster[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-mini-cluster-'));
  clusters = [];
});
afterEach(async () => {
  for (const cluster of clusters) await cluster.close();
  rmSync(directory, { recursive: true, force: true });
});

async function clusterOf(options: MiniClusterOptions = {}): Promise<MiniCluster> {
  const cluster = await miniCluster(options);
  clusters.push(cluster);
  return cluster;
}

/** Writes a job file; `body` builds on `env`. */
function jobFile(body: string, name = 'job', settings = ''): URL {
  const path = join(directory, `${name}.ts`);
  writeFileSync(
    path,
    `import { defineJob, params, seconds } from 'millrace';
import { collection } from 'millrace/collection';
import { generator } from 'millrace/generator';
export default defineJob('${name}', (env) => {
${body}
}${settings});
`,
  );
  return pathToFileURL(path);
}

/** Counts the numbers 0 to total - 1 by their rest modulo 7, `rate` a second. */
const counting = `
  const { total, rate } = env.params({ total: params.number(), rate: params.number() });
  env.from(generator({ count: total, ratePerSecond: rate, make: (n) => n }), { uid: 'numbers' })
    .keyBy((n) => n % 7)
    .reduce((before, n) => before + n)
    .uid('sums')
    .collect('sums');`;

/** Every partial sum of every rest, once. */
function sumsOf(total: number): readonly number[] {
  const sums = new Map<number, number>();
  return Array.from({ length: total }, (_, n) => {
    const sum = (sums.get(n % 7) ?? 0) + n;
    sums.set(n % 7, sum);
    return sum;
  }).sort((a, b) => a - b);
}

const sorted = (values: readonly unknown[] | undefined): readonly number[] =>
  [...((values ?? []) as readonly number[])].sort((a, b) => a - b);

describe('a mini cluster', () => {
  test.each([
    { taskManagers: 1, slots: 2, backend: 'memory' },
    { taskManagers: 2, slots: 1, backend: 'cold' },
  ] as const)('gives exact results when slots are killed: %o', async (options) => {
    const cluster = await clusterOf(options);
    const total = 3_000;
    const execution = await cluster.run(jobFile(counting), {
      parameters: { total, rate: 2_000 },
      parallelism: 2,
      checkpointInterval: milliseconds(50),
    });
    expect(execution.slots).toEqual([0, 1]);
    const first = await execution.checkpoint();
    expect(execution.progress().lastCheckpoint?.id).toBeGreaterThanOrEqual(first);
    for (const [restarts, slot] of [1, 0].entries()) {
      execution.killSlot(slot);
      await execution.until((progress) => progress.restarts === restarts + 1 && progress.state === 'running');
      expect(await execution.checkpoint()).toBeGreaterThan(first);
    }
    const { state, collected, progress } = await execution.finished;
    expect(state).toBe('finished');
    expect(sorted(collected['sums'])).toEqual(sumsOf(total));
    expect(progress).toMatchObject({ restarts: 2, recordsIn: total });
    expect(execution.progress()).toEqual(progress);
    expect(() => execution.killSlot(0)).toThrow(/killSlot\(0\): nothing runs in any slot now/);
    await expect(execution.checkpoint()).rejects.toThrow(/no job runs here/);
  });

  test('starts only the pipeline again whose slot was killed', async () => {
    const cluster = await clusterOf({ slots: 2 });
    const total = 2_000;
    const file = jobFile(`
  const { total, rate } = env.params({ total: params.number(), rate: params.number() });
  for (const name of ['left', 'right']) {
    let attempt = 0;
    const sums = env.from(generator({ count: total, ratePerSecond: rate, make: (n) => n }), { uid: name })
      .keyBy((n) => n % 7)
      .reduce((before, n) => before + n)
      .uid(name + '-sums');
    sums.collect(name);
    sums
      .map({ open: (context) => { attempt = context.attempt; }, call: () => attempt })
      .uid(name + '-attempts')
      .collect(name + '-attempts');
  }`);
    const execution = await cluster.run(file, {
      parameters: { total, rate: 1_500 },
      parallelism: 1,
      checkpointInterval: milliseconds(50),
    });
    expect(execution.slots).toEqual([0, 1]);
    // What the first attempts made is in a checkpoint.
    await execution.until(() =>
      ['left', 'right'].every((name) => (execution.collected[`${name}-attempts`] ?? []).length > 0),
    );
    execution.killSlot(0);
    await execution.until((progress) => progress.restarts === 1 && progress.state === 'running');
    const { collected } = await execution.finished;
    expect(sorted(collected['left'])).toEqual(sumsOf(total));
    expect(sorted(collected['right'])).toEqual(sumsOf(total));
    expect(new Set(collected['left-attempts'])).toEqual(new Set([1, 3]));
    expect(new Set(collected['right-attempts'])).toEqual(new Set([2]));
  });

  test('goes on from the last checkpoint when a stopped job is run again with resume', async () => {
    const cluster = await clusterOf();
    const total = 1_500;
    const file = jobFile(counting);
    const parameters = { total, rate: 1_500 };
    const first = await cluster.run(file, { parameters });
    await first.checkpoint();
    const stopped = await first.stop();
    expect(stopped.state).toBe('stopped');
    const before = stopped.collected['sums'] ?? [];
    expect(before.length).toBeLessThan(total);
    const second = await cluster.run(file, { parameters, resume: true, parallelism: 1 });
    const { collected, progress } = await second.finished;
    expect(progress.restored?.sourceRecords).toBe(before.length);
    // The resumed run commits its checkpoint's results once more; they are the same ones.
    expect(collected['sums']?.slice(0, before.length)).toEqual(before);
    expect(sorted(collected['sums'])).toEqual(sumsOf(total));
    // Without resume the job begins at the beginning.
    const third = await cluster.run(file, { parameters: { total: 10, rate: 10_000 } });
    expect(sorted((await third.finished).collected['sums'])).toEqual(sumsOf(10));
  });

  test('rejects with the error of the job when a function throws', async () => {
    const cluster = await clusterOf();
    const file = jobFile(
      `
  env.from(collection([1, 2])).map((n) => { if (n === 2) throw new Error('not two'); return n; }).uid('picky').collect('out');`,
      'picky',
    );
    const running = cluster.run(file, { restartsMax: 1 }).then((execution) => execution.finished);
    await expect(running).rejects.toMatchObject({ code: 'USER_FUNCTION_FAILED', ids: { operator: 'picky' } });
  });

  test('refuses what cannot be run', async () => {
    await expect(miniCluster({ slots: 0 })).rejects.toThrow(/slots is 0; give 1 or more/);
    const cluster = await clusterOf({ slots: 1 });
    const file = jobFile(counting);
    const parameters = { total: 10_000, rate: 100 };
    await expect(cluster.run(file, { parameters, parallelism: 3 })).rejects.toThrow(
      /needs 3 slots and the mini cluster has 1 → miniCluster\(\{ slots: 3 \}\)/,
    );
    await expect(cluster.run(file, {})).rejects.toMatchObject({ code: 'PARAMETER_INVALID' });
    await expect(cluster.run(new URL('none.ts', file))).rejects.toThrow(/there is no job file/);
    const execution = await cluster.run(file, { parameters, parallelism: 1 });
    await expect(cluster.run(file, { parameters })).rejects.toThrow(/one job at a time/);
    expect(() => execution.killSlot(5)).toThrow(/killSlot\(5\): slots in use: 0/);
    await expect(execution.until(() => false, { timeoutMs: 1 })).rejects.toThrow(/did not hold within 1 ms/);
    const waiting = execution.until(() => false);
    const closed = expect(execution.finished).rejects.toMatchObject({ code: 'CANCELED' });
    const unanswered = expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
    await cluster.close();
    await closed;
    await unanswered;
    await expect(cluster.run(file)).rejects.toThrow(/is closed/);
  });
});
