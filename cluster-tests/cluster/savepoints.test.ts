/**
 * Savepoints of the flights job on a cluster of processes, by the command line: what a job commits that stops with one and
 * goes on from it is what SQL computes; what cannot be started from is refused, and nothing is started.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { manifestLine, manifestName, readManifest } from '../../connectors/files/sink/manifest.ts';
import { computeFlightsOracle, type FlightsOracle } from '../flights/flights-oracle.ts';
import { committedResults, type FlightsPlace, flightsFile, flightsPlace, leftovers } from '../flights/flights-run.ts';
import { repositoryRoot } from '../millrace-run.ts';
import { describeWithEtcd, waitUntil } from '../support/etcd.ts';
import { memberAt } from './cluster-driver.ts';
import { ProcessCluster } from './process-driver.ts';

/** Time for a loaded machine. */
const timeoutMs = 300_000;

interface Answer {
  readonly exitCode: number | null;
  /** The line of JSON. */
  readonly json: Readonly<Record<string, unknown>> & {
    readonly ok: boolean;
    readonly error?: { readonly code: string; readonly message: string };
  };
}

describeWithEtcd('savepoints on a cluster of processes', () => {
  let directory: string;
  let cluster: ProcessCluster;
  let oracle: FlightsOracle;
  let places = 0;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-savepoints-'));
    const options = { directory: join(directory, 'cluster'), jobManagers: 2, taskManagers: 2, slots: 2 };
    const started = ProcessCluster.start(options);
    oracle = await computeFlightsOracle(flightsFile);
    cluster = await started;
  }, timeoutMs);

  afterAll(async () => {
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  function millrace(...words: readonly string[]): Promise<Answer> {
    const address = ['--job-manager', cluster.jobManagers.join(','), '--json'];
    const separator = words.indexOf('--');
    const at = separator < 0 ? words.length : separator;
    const all = [...words.slice(0, at), ...address, ...words.slice(at)];
    const child = spawn(process.execPath, [join(repositoryRoot, 'bin/millrace.js'), ...all], { cwd: repositoryRoot });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    return new Promise((resolve, reject) =>
      child.once('close', (exitCode) => {
        const line = output.split('\n').findLast((text) => text.startsWith('{'));
        if (line === undefined) reject(new Error(`millrace ${all.join(' ')} printed no JSON:\n${output}`));
        else resolve({ exitCode, json: JSON.parse(line) as Answer['json'] });
      }),
    );
  }

  async function submit(place: FlightsPlace, ...options: readonly string[]): Promise<string> {
    const answer = await trySubmit(place, ...options);
    expect(answer).toMatchObject({ exitCode: 0, json: { ok: true } });
    return String(answer.json['jobId']);
  }

  function trySubmit({ run }: FlightsPlace, ...options: readonly string[]): Promise<Answer> {
    const parameters = Object.entries(run.parameters).flatMap(([name, value]) => [`--${name}`, value]);
    return millrace('submit', run.job, '--checkpoint-interval', '250ms', ...options, '--', ...parameters);
  }

  const newPlace = (): FlightsPlace =>
    flightsPlace({ directory: join(directory, `job-${++places}`), checkpointIntervalMs: 250 });

  async function untilCheckpoint(jobId: string, id: number): Promise<void> {
    await waitUntil(
      `checkpoint ${id} of ${jobId}`,
      async () => {
        const { json } = await millrace('status', jobId);
        return ((json['lastCheckpoint'] as { id: number } | null)?.id ?? 0) >= id;
      },
      120_000,
    );
  }

  async function end(jobId: string): Promise<Answer['json']> {
    let status: Answer['json'] | null = null;
    const over = ['finished', 'failed', 'canceled', 'stopped'];
    await waitUntil(
      `the end of ${jobId}`,
      async () => {
        status = (await millrace('status', jobId)).json;
        return over.includes(String(status['state']));
      },
      timeoutMs,
    );
    return status as unknown as Answer['json'];
  }

  async function expectOracle(place: FlightsPlace): Promise<void> {
    const results = await committedResults(place);
    for (const name of ['hourly', 'late', 'worst'] as const) {
      const different = results[name].findIndex((line, index) => line !== oracle[name][index]);
      expect({ name, line: results[name][different] }).toEqual({
        name,
        line: different < 0 ? undefined : oracle[name][different],
      });
      expect(`${name}: ${results[name].length} lines`).toBe(`${name}: ${oracle[name].length} lines`);
    }
    expect(leftovers(place)).toEqual([]);
  }

  /** Takes back what was committed after a checkpoint, as the file sink would refuse to write it again. */
  async function takeBack(place: FlightsPlace, checkpointId: number): Promise<number> {
    let removed = 0;
    for (const output of place.outputs) {
      const manifest = await readManifest(output);
      if (manifest === null) continue;
      const files = [...manifest.committed.values()];
      const kept = files.filter((file) => file.checkpointId <= checkpointId);
      for (const file of files) {
        if (kept.includes(file)) continue;
        rmSync(join(output, file.name));
        removed++;
      }
      const lines = [manifestLine(manifest.header), manifestLine({ type: 'commit', files: kept })];
      writeFileSync(join(output, manifestName), lines.join(''));
    }
    return removed;
  }

  test(
    'a job that stops with a savepoint goes on from it under another leader and with another parallelism',
    async () => {
      const place = newPlace();
      const first = await submit(place, '-p', '2');
      await untilCheckpoint(first, 2);
      const stopped = await millrace('stop', first, '--savepoint');
      expect(stopped).toMatchObject({ exitCode: 0, json: { ok: true } });
      const path = String(stopped.json['savepointPath']);
      expect(await millrace('stop', first, '--savepoint'), 'asked again').toEqual(stopped);
      expect((await end(first))['state']).toBe('stopped');
      const leader = memberAt(cluster, String((await millrace('status')).json['leaderAddress']));
      await cluster.kill(leader);
      const second = await submit(place, '--from', path, '-p', '3');
      await cluster.restart(leader);
      const { state, progress, error } = await end(second);
      expect({ state, error }).toEqual({ state: 'finished', error: null });
      expect((progress as { recordsIn: number }).recordsIn).toBe(3_000_000);
      await expectOracle(place);
    },
    timeoutMs,
  );

  test(
    'a savepoint of a job that runs on has exactly what was committed up to it, and outlives the job',
    async () => {
      const place = newPlace();
      const first = await submit(place, '-p', '2');
      await untilCheckpoint(first, 2);
      const taken = await millrace('savepoint', first);
      expect(taken).toMatchObject({ exitCode: 0, json: { ok: true } });
      expect((await end(first))['state']).toBe('finished');
      await expectOracle(place);
      const path = String(taken.json['savepointPath']);
      const refused = await submit(place, '--from', path, '-p', '2');
      const ended = await end(refused);
      expect({ state: ended['state'], code: ended.error?.code }).toEqual({ state: 'failed', code: 'OUTPUT_OCCUPIED' });
      await expectOutputsUnchanged(place);
      expect(await takeBack(place, Number(taken.json['checkpointId']))).toBeGreaterThan(0);
      const second = await submit(place, '--from', path, '-p', '2');
      const { state, error } = await end(second);
      expect({ state, error }).toEqual({ state: 'finished', error: null });
      await expectOracle(place);
      // Both jobs that started from it are over, so nothing rests on it.
      expect(await millrace('savepoint', '--dispose', path)).toMatchObject({ exitCode: 0 });
      const gone = await trySubmit(place, '--from', path);
      expect({ exitCode: gone.exitCode, code: gone.json.error?.code }).toEqual({
        exitCode: 66,
        code: 'SAVEPOINT_NOT_FOUND',
      });
    },
    timeoutMs,
  );

  async function expectOutputsUnchanged(place: FlightsPlace): Promise<void> {
    const results = await committedResults(place);
    expect([results.hourly.length, results.late.length]).toEqual([oracle.hourly.length, oracle.late.length]);
  }

  test(
    'a job that is drained fires its windows over what it has read, and is finished',
    async () => {
      const place = newPlace();
      const job = await submit(place, '-p', '2');
      await untilCheckpoint(job, 2);
      expect(await millrace('stop', job, '--drain')).toMatchObject({ exitCode: 0, json: { savepointPath: null } });
      const { state, progress } = await end(job);
      const { recordsIn } = progress as { recordsIn: number };
      expect({ state, isPart: recordsIn > 0 && recordsIn < 3_000_000 }).toEqual({ state: 'finished', isPart: true });
      const { hourly, late } = await committedResults(place);
      const flights = hourly.reduce((sum, line) => sum + (JSON.parse(line) as { flights: number }).flights, 0);
      expect(flights + late.length).toBe(recordsIn);
      expect(leftovers(place)).toEqual([]);
    },
    timeoutMs,
  );

  test(
    'what cannot be started from is refused, each with its code, and starts nothing',
    async () => {
      const place = newPlace();
      const job = await submit(place, '-p', '2');
      await untilCheckpoint(job, 2);
      const path = String((await millrace('stop', job, '--savepoint')).json['savepointPath']);
      const storage = join(directory, 'cluster/storage');
      const jobDirectory = join(storage, path.split('/')[0] ?? '');
      const jobsBefore = ((await millrace('list')).json['jobs'] as unknown[]).length;
      const expectRefused = async (from: string, exitCode: number, code: string): Promise<void> => {
        const { exitCode: found, json } = await trySubmit(place, '--from', from);
        expect({ from, exitCode: found, code: json.error?.code }).toEqual({ from, exitCode, code });
      };
      /** Damages a file, expects the refusal, and mends it. */
      const withFile = async (file: string, change: (bytes: Buffer) => Buffer | null, code: string): Promise<void> => {
        const bytes = readFileSync(file);
        const changed = change(Buffer.from(bytes));
        renameSync(file, `${directory}/aside`);
        if (changed !== null) writeFileSync(file, changed);
        await expectRefused(path, code === 'SAVEPOINT_NOT_FOUND' ? 66 : 65, code);
        copyFileSync(`${directory}/aside`, file);
      };
      const flip = (bytes: Buffer): Buffer => {
        const middle = bytes.length >> 1;
        bytes[middle] = (bytes[middle] ?? 0) ^ 1;
        return bytes;
      };
      const only = (folder: string, like: RegExp): string => {
        const found = readdirSync(join(jobDirectory, folder))
          .filter((name) => like.test(name))
          .sort();
        return join(jobDirectory, folder, found.at(-1) ?? 'none');
      };
      const [, name = ''] = /savepoints\/(.*)\.savepoint$/.exec(path) ?? [];
      const manifestFile = join(jobDirectory, 'manifests', `${name}.manifest`);
      const stateFile = only('state', new RegExp(`^${name}-`));
      await expectRefused('../etc/passwd', 66, 'SAVEPOINT_NOT_FOUND');
      await expectRefused(path.replace(name, '1-99999'), 66, 'SAVEPOINT_NOT_FOUND');
      await withFile(join(storage, path), () => null, 'SAVEPOINT_NOT_FOUND');
      await withFile(join(storage, path), flip, 'SAVEPOINT_UNREADABLE');
      await withFile(join(storage, path), (bytes) => bytes.subarray(0, 40), 'SAVEPOINT_UNREADABLE');
      const newer = (bytes: Buffer): Buffer => Buffer.from(bytes.toString().replace('savepoint 1 ', 'savepoint 2 '));
      await withFile(join(storage, path), newer, 'SAVEPOINT_UNREADABLE');
      await withFile(manifestFile, flip, 'SAVEPOINT_UNREADABLE');
      await withFile(manifestFile, () => null, 'SAVEPOINT_UNREADABLE');
      await withFile(stateFile, flip, 'SAVEPOINT_UNREADABLE');
      await withFile(stateFile, (bytes) => bytes.subarray(1), 'SAVEPOINT_UNREADABLE');
      const other = await millrace('submit', 'examples/word-count.ts', '--from', path);
      expect({ exitCode: other.exitCode, code: other.json.error?.code }).toEqual({
        exitCode: 67,
        code: 'SAVEPOINT_REFUSED',
      });
      // Other output directories: sinks whose state names files that are not there.
      const elsewhere = await trySubmit(newPlace(), '--from', path);
      expect({ exitCode: elsewhere.exitCode, code: elsewhere.json.error?.code }).toEqual({
        exitCode: 67,
        code: 'SAVEPOINT_REFUSED',
      });
      expect((await millrace('stop', job, '--savepoint', '--drain')).exitCode).toBe(2);
      expect(((await millrace('list')).json['jobs'] as unknown[]).length).toBe(jobsBefore);
      // Nothing of all that has harmed it.
      const next = await submit(place, '--from', path, '-p', '2');
      const inUse = await millrace('savepoint', '--dispose', path);
      expect({ exitCode: inUse.exitCode, code: inUse.json.error?.code }).toEqual({
        exitCode: 68,
        code: 'SAVEPOINT_IN_USE',
      });
      expect(inUse.json.error?.message).toContain(next);
      expect((await end(next))['state']).toBe('finished');
      await expectOracle(place);
    },
    timeoutMs,
  );
});
