/**
 * What operators see and do on a cluster of one job manager and one task manager: a slot that takes all memory, the lines that
 * task managers log, jobs that are over. Real processes from dist/.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterClient, type LogLine } from 'millrace/cluster';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '../millrace-run.ts';
import { waitUntil } from '../support/etcd.ts';
import { ClusterJob } from './cluster-job.ts';
import { ProcessCluster } from './process-driver.ts';

const timeoutMs = 180_000;

let directory: string;
let cluster: ProcessCluster;
let client: ClusterClient;
let outputs = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-one-'));
  cluster = await ProcessCluster.start({
    directory: join(directory, 'cluster'),
    jobManagers: 1,
    taskManagers: 1,
    slots: 2,
    jobManagerWords: ['--jobs-history-max', '2'],
    taskManagerWords: ['--memory-limit', '500MiB'],
  });
  client = await ClusterClient.connect({ jobManagers: cluster.jobManagers });
}, timeoutMs);

afterAll(async () => {
  client.close();
  await cluster.stop();
  rmSync(directory, { recursive: true, force: true });
});

function submit(job: string, parameters: Readonly<Record<string, string>>): Promise<ClusterJob> {
  return ClusterJob.submit({
    jobManagers: cluster.jobManagers,
    job: `cluster-tests/cluster/${job}.ts`,
    parallelism: 1,
    checkpointIntervalMs: 250,
    parameters: { ...parameters, output: join(directory, `out-${++outputs}`) },
  });
}

async function linesOf(job: string): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of client.logs({ job, lines: 1_000 })) lines.push(line);
  return lines;
}

/** The command line, with what it wrote to standard output. */
function millrace(...words: string[]): { readonly status: number | null; readonly out: string; readonly err: string } {
  const entry = join(repositoryRoot, 'bin/millrace.js');
  const result = spawnSync(process.execPath, [entry, ...words, '--job-manager', cluster.jobManagers[0] as string], {
    encoding: 'utf8',
  });
  return { status: result.status, out: result.stdout.trim(), err: result.stderr.trim() };
}

/** `millrace logs --follow` in the background. */
function follow(...words: string[]) {
  const entry = join(repositoryRoot, 'bin/millrace.js');
  const address = cluster.jobManagers[0] as string;
  const child = spawn(process.execPath, [entry, 'logs', '--follow', ...words, '--job-manager', address]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const end = (): Promise<number | null> => {
    child.kill('SIGINT');
    return exited;
  };
  return { out: () => out, err: () => err, end };
}

test(
  'a slot that takes all memory is ended by name, the process and another job run on, and its lines can be read',
  async () => {
    const steady = await submit('steady-job', {});
    await steady.until('a checkpoint', ({ lastCheckpoint }) => lastCheckpoint !== null);
    const [before] = (await client.cluster()).taskManagers;
    const hoarding = await submit('hoarding-job', { once: join(directory, 'once') });
    const restarted = await hoarding.until('a restart', ({ restarts }) => restarts > 0);
    expect(restarted.error).toMatchObject({ code: 'MEMORY_EXCEEDED', message: expect.stringContaining("'hoard'") });
    expect(await hoarding.end()).toMatchObject({ state: 'finished', restarts: 1 });
    expect(await steady.status()).toMatchObject({ state: 'running', restarts: 0, attempt: 1 });
    const [after] = (await client.cluster()).taskManagers;
    expect(after?.id).toBe(before?.id);

    const about = (text: string) => async () =>
      (await linesOf('hoarding')).some((line) => line.text.includes(text) && line.taskManagerId === before?.id);
    for (const text of ['keeps every Buffer', 'keeps nothing', 'outside of its heap'])
      await waitUntil(`the line "${text}"`, about(text), 30_000);
    const lines = await linesOf('hoarding');
    expect(lines.filter(({ text }) => text.includes('keeps every Buffer'))).toHaveLength(1);
    expect(lines.every(({ jobId }) => jobId === hoarding.jobId)).toBe(true);
    expect(lines.some(({ taskManagerId, text }) => taskManagerId === null && text.includes('is running'))).toBe(true);
    expect((await linesOf('steady')).some(({ text }) => text.includes('Buffer'))).toBe(false);

    const shown = millrace('logs', 'hoarding', '--task-manager', before?.id ?? '', '--json', '--lines', '2');
    expect(shown).toMatchObject({ status: 0, err: '' });
    const parsed = shown.out.split('\n').map((text) => JSON.parse(text) as LogLine);
    expect(parsed.map(({ taskManagerId, jobId }) => [taskManagerId, jobId])).toEqual(
      Array(2).fill([before?.id, hoarding.jobId]),
    );
    hoarding.close();
    steady.close();
  },
  timeoutMs,
);

test(
  'a slot that takes all memory in one call, of which it cannot tell, is ended by name',
  async () => {
    const hoarding = await submit('hoarding-job', { once: join(directory, 'once-more'), inOneCall: 'true' });
    const restarted = await hoarding.until('a restart', ({ restarts }) => restarts > 0);
    const message = expect.stringMatching(/a function of .*'hoard'.* had not returned/);
    expect(restarted.error).toMatchObject({ code: 'MEMORY_EXCEEDED', message });
    expect(await hoarding.end()).toMatchObject({ state: 'finished', restarts: 1 });
    expect(await client.status('steady')).toMatchObject({ state: 'running', restarts: 0 });
    hoarding.close();
  },
  timeoutMs,
);

test(
  'a job that is over is forgotten when it is told so, with its files, and one that runs is not',
  async () => {
    const storage = join(directory, 'cluster/storage');
    const filesOf = (jobId: string): string[] =>
      readdirSync(join(storage, jobId), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => name);
    expect(millrace('forget', 'steady')).toMatchObject({ status: 2, err: expect.stringContaining('is not over') });
    const { jobId } = await client.status('steady');
    await client.cancel('steady');
    await waitUntil('the end', async () => (await client.status(jobId)).state === 'canceled', 60_000);
    expect(filesOf(jobId)).not.toEqual([]);
    expect(millrace('forget', 'steady', '--json')).toMatchObject({ status: 0, out: '{"ok":true}' });
    expect((await client.list()).map((job) => job.name)).toEqual(['hoarding']);
    await expect(client.status(jobId)).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    expect(filesOf(jobId)).toEqual([]);
    // The older of the others was forgotten with the end of this one; what is left has an artifact of its own.
    expect(readdirSync(join(storage, 'submissions'))).toHaveLength(2);
  },
  timeoutMs,
);

test(
  'the oldest jobs that are over are forgotten when more are than are kept, also after the job manager was started again',
  async () => {
    for (let count = 0; count < 2; count++) {
      const job = await submit('hoarding-job', { once: directory });
      expect(await job.end()).toMatchObject({ state: 'finished' });
      job.close();
    }
    await waitUntil('two jobs', async () => (await client.list()).length === 2, 30_000);
    const kept = (await client.list()).map(({ jobId, state }) => [jobId, state]);
    expect(kept.map(([, state]) => state)).toEqual(['finished', 'finished']);
    const follower = follow('--lines', '1');
    await waitUntil('the newest line', () => follower.out() !== '', 60_000);
    await cluster.kill('job-manager-1');
    await cluster.restart('job-manager-1');
    client.close();
    client = await ClusterClient.connect({ jobManagers: cluster.jobManagers });
    // Connections of a process to one address share the wait after a refusal: until it is over, the client is told of it.
    const listed = async (): Promise<number> => {
      try {
        return (await client.list()).length;
      } catch (error) {
        expect(error).toMatchObject({ code: 'CLUSTER_UNAVAILABLE' });
        return 0;
      }
    };
    await waitUntil('the list', async () => (await listed()) === 2, 60_000);
    expect((await client.list()).map(({ jobId, state }) => [jobId, state])).toEqual(kept);
    // The new leader was told the lines of the task manager again.
    await waitUntil(
      'the lines of before',
      async () => (await linesOf(kept[0]?.[0] ?? '')).some(({ text }) => text.includes('keeps nothing')),
      30_000,
    );
    const job = await submit('hoarding-job', { once: directory });
    const line = `[${job.jobId}] [attempt 1] hoard: keeps nothing`;
    await waitUntil('a line of after', () => follower.out().includes(line), 60_000);
    expect(await follower.end()).toBe(0);
    expect(follower.err()).toContain('the log was cut off');
    expect(follower.out().split(line)).toHaveLength(2);
    job.close();
  },
  timeoutMs,
);
