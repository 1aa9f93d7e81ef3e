/** The job store of a job manager without etcd whose objects are in S3: manifests and savepoints there, the rest in its own directory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { S3ObjectStore } from '../../storage/s3/s3-object-store.ts';
import { memoryScratch, S3TestServer, testLocation } from '../../storage/s3/s3-server.test-support.ts';
import { jobStoreContract } from './job-store-contract.test-support.ts';
import { LocalJobStore } from './local-job-store.ts';

let directory: string;
let server: S3TestServer;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-s3-'));
  server = await S3TestServer.start(directory);
});
afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

jobStoreContract('a local directory with objects in S3', async () => {
  const files = new MemoryFileSystem();
  await files.makeDirectory('/state');
  await files.syncDirectory('/');
  const location = testLocation(server.endpoint);
  const open = (): LocalJobStore => {
    const objects = new S3ObjectStore({ location, openScratch: memoryScratch() });
    return new LocalJobStore({ directory: '/state', objects, files });
  };
  return { store: open(), reopen: async () => open(), leaderEpoch: 1 };
});
