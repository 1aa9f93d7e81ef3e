/**
 * The flights job on a cluster of processes whose checkpoints are in S3-compatible storage that fails now and then, without etcd.
 * Real processes from dist/; the storage is the test server of the package s3rver behind a proxy.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FaultProxy, S3TestServer, testKey } from '../../storage/s3/s3-server.test-support.ts';
import { computeFlightsOracle } from '../flights/flights-oracle.ts';
import { flightsFile } from '../flights/flights-run.ts';
import { repositoryRoot } from '../millrace-run.ts';
import { runFlightsOnCluster } from './flights-on-cluster.ts';
import { ProcessCluster } from './process-driver.ts';

/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 300_000;

describe('a cluster with its storage in S3', () => {
  let directory: string;
  let server: S3TestServer;
  let proxy: FaultProxy;
  let cluster: ProcessCluster;
  let storage: readonly string[];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-s3-cluster-'));
    server = await S3TestServer.start(join(directory, 's3'));
    proxy = await FaultProxy.start(server.endpoint);
    const keyFile = join(directory, 'key');
    writeFileSync(keyFile, `${testKey}\n`, { mode: 0o600 });
    const keys = ['--s3-access-key-file', keyFile, '--s3-secret-key-file', keyFile];
    storage = ['--storage', 's3://bucket/clusters/one', '--s3-endpoint', proxy.endpoint, ...keys];
    const place = { directory: join(directory, 'cluster'), storage };
    cluster = await ProcessCluster.start({ ...place, jobManagers: 1, taskManagers: 2, slots: 2 });
  }, timeoutMs);

  afterAll(async () => {
    await cluster.stop();
    await proxy.stop();
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test(
    'finishes with the results of SQL when task manager and job manager are killed and every ninth request fails',
    async () => {
      let requests = 0;
      let faults = 0;
      proxy.fault = () => {
        if (++requests % 9 !== 0) return null;
        return faults++ % 2 === 0 ? { kind: 'answer', status: 503, code: 'SlowDown' } : { kind: 'refuse' };
      };
      const job = await runFlightsOnCluster({
        jobManagers: cluster.jobManagers,
        directory: join(directory, 'job'),
        oracle: await computeFlightsOracle(flightsFile),
        disturb: async (running) => {
          await cluster.kill('task-manager-1');
          await cluster.restart('task-manager-1');
          const before = (await running.status()).lastCheckpoint?.id ?? 0;
          const after = await running.until('a checkpoint of the next attempt', ({ attempt, lastCheckpoint }) => {
            return attempt > 1 && (lastCheckpoint?.id ?? 0) > before;
          });
          expect({ state: after.state, restarts: after.restarts }).toEqual({ state: 'running', restarts: 1 });
          await cluster.kill('job-manager-1');
          await cluster.restart('job-manager-1');
        },
      });
      job.close();
      proxy.fault = () => null;
      expect(faults).toBeGreaterThan(3);
      // What was on its way lay in files without names.
      expect(readdirSync(join(directory, 'cluster/task-manager-2/s3.scratch'))).toEqual([]);
    },
    timeoutMs,
  );

  test(
    'keeps a second cluster out of its storage',
    async () => {
      const own = ['--state-directory', join(directory, 'other'), '--address', '127.0.0.1:0', '--http', '127.0.0.1:0'];
      const words = [join(repositoryRoot, 'bin/millrace.js'), 'job-manager', ...storage, ...own];
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'], timeout: timeoutMs / 2 });
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const status = await new Promise((resolve) => child.once('close', resolve));
      expect(said).toMatch(
        /s3:\/\/bucket\/clusters\/one was last used by cluster \S+ at epoch 2, but the state directory knows nothing of it/,
      );
      expect(status).not.toBe(0);
    },
    timeoutMs,
  );
});
