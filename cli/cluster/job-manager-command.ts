/** `millrace job-manager`: one job manager process in the foreground, until it is told to stop. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { EngineError } from '../../core/errors.ts';
import { systemClock } from '../../jobmanager/clock.ts';
import { JobManagerProcess, type TermStorage } from '../../jobmanager/cluster/job-manager-process.ts';
import { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdJobStore } from '../../jobmanager/etcd/etcd-job-store.ts';
import { EtcdLeadership } from '../../jobmanager/etcd/etcd-election.ts';
import { openCluster } from '../../jobmanager/etcd/open-cluster.ts';
import type { Leadership } from '../../jobmanager/leadership.ts';
import { JobManagerHttp } from '../../jobmanager/http/job-manager-http.ts';
import { LocalLeadership } from '../../jobmanager/local-leadership.ts';
import { ClusterMarker } from '../../jobmanager/store/cluster-marker.ts';
import { LocalJobStore } from '../../jobmanager/store/local-job-store.ts';
import { allowEverybody } from '../../proto/rpc/grpc/authorization.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { acquireDirectoryLock } from '../run/directory-lock.ts';
import type { ProcessContext } from './process-context.ts';

export interface JobManagerCommandOptions {
  /** Address of this machine to listen on. */
  readonly host: string;
  readonly port: number;
  /** `host:port` that others reach it at; null: where it listens. */
  readonly advertised: string | null;
  /** Shared directory of graphs, artifacts and checkpoints. */
  readonly storage: string;
  /** Empty: one job manager, whose records are in the storage. */
  readonly etcdEndpoints: readonly string[];
  readonly etcdPrefix: string;
  readonly leaseTtlMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly slotWaitMs: number;
  readonly adoptionTimeoutMs: number;
  /** Port of metrics, health and the REST interface; null: none. */
  readonly httpPort: number | null;
  readonly logFormat: 'auto' | 'text' | 'json';
}

/** Resolves when it was told to stop, or rejects with what it could not go on with. */
export async function jobManagerCommand(options: JobManagerCommandOptions, context: ProcessContext): Promise<void> {
  const { logger, engineVersion } = context;
  const directory = resolve(context.workingDirectory, options.storage);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const objects = new LocalDirectoryStore(directory);
  const coordination =
    options.etcdEndpoints.length > 0 ? withEtcd(options, objects, context) : alone(directory, objects);
  const fatal = context.failure();
  let http: JobManagerHttp | null = null;
  const { slotWaitMs, adoptionTimeoutMs } = options;
  const process: JobManagerProcess = await JobManagerProcess.start({
    host: options.host,
    port: options.port,
    advertisedAddress: options.advertised,
    leadership: coordination.leadership,
    openStorage: coordination.openStorage,
    objects,
    clock: systemClock,
    random: Math.random,
    logger,
    settings: { slotWaitMs, adoptionTimeoutMs },
    heartbeatTimeoutMs: options.heartbeatTimeoutMs,
    engineVersion,
    tls: null,
    insecure: false,
    authorize: allowEverybody,
    onFatal: (error: EngineError) => fatal.fail(error),
    logs: context.logs,
    onEvent: (notice, jobId) => http?.noticed(notice, jobId),
  });
  try {
    http = await startHttp(options, process, context);
  } catch (error) {
    await process.stop();
    coordination.close();
    throw error;
  }
  const shown = http === null ? '' : `, http on ${http.address}`;
  context.ready(`job manager listens on ${process.address}${shown}`);
  try {
    await Promise.race([context.stopped, fatal.failed]);
  } finally {
    await http?.stop();
    await process.stop();
    coordination.close();
  }
}

async function startHttp(
  { host, httpPort }: JobManagerCommandOptions,
  process: JobManagerProcess,
  { logger }: ProcessContext,
): Promise<JobManagerHttp | null> {
  if (httpPort === null) return null;
  return await JobManagerHttp.start({
    host,
    port: httpPort,
    tls: null,
    authorize: () => undefined,
    logger,
    term: () => process.observed(),
    ready: () => process.isReady,
    nowMs: Date.now,
  });
}

interface Coordination {
  readonly leadership: (address: string) => Leadership;
  readonly openStorage: (leaderEpoch: number) => Promise<TermStorage>;
  close(): void;
}

/** One job manager: its records lie beside the checkpoints, and the directory is its own. */
function alone(directory: string, objects: LocalDirectoryStore): Coordination {
  const store = new LocalJobStore({ directory, objects });
  return {
    leadership: (address) => new LocalLeadership({ address, store, lock: () => acquireDirectoryLock(directory) }),
    openStorage: async () => ({ store, clusterId: 'local' }),
    close: () => undefined,
  };
}

/** Several job managers, of which etcd lets one lead. */
function withEtcd(
  options: JobManagerCommandOptions,
  objects: LocalDirectoryStore,
  { logger }: ProcessContext,
): Coordination {
  const { etcdEndpoints: endpoints, etcdPrefix: prefix, leaseTtlMs } = options;
  const etcd = new EtcdClient({ endpoints });
  const marker = new ClusterMarker(objects);
  return {
    leadership: (address) =>
      new EtcdLeadership({
        etcd,
        prefix,
        address,
        id: randomUUID(),
        clock: systemClock,
        random: Math.random,
        logger,
        leaseTtlMs,
      }),
    openStorage: async (leaderEpoch) => {
      const clusterId = await openCluster({ etcd, prefix, leaderEpoch, marker, newClusterId: randomUUID() });
      const store = new EtcdJobStore({ etcd, prefix, objects, leaderEpoch, progress: { marker, clusterId } });
      return { store, clusterId };
    },
    close: () => etcd.close(),
  };
}
