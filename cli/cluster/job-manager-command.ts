/** `millrace job-manager`: one job manager process in the foreground, until it is told to stop. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ResolvedConfig } from '../../core/config/resolve-config.ts';
import { EngineError } from '../../core/errors.ts';
import { systemClock } from '../../jobmanager/clock.ts';
import { JobManagerProcess, type TermStorage } from '../../jobmanager/cluster/job-manager-process.ts';
import { EtcdClient, type EtcdClientOptions } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdJobStore } from '../../jobmanager/etcd/etcd-job-store.ts';
import { EtcdLeadership } from '../../jobmanager/etcd/etcd-election.ts';
import { openCluster } from '../../jobmanager/etcd/open-cluster.ts';
import type { Leadership } from '../../jobmanager/leadership.ts';
import { JobManagerHttp } from '../../jobmanager/http/job-manager-http.ts';
import { LocalLeadership } from '../../jobmanager/local-leadership.ts';
import { ClusterMarker, stateDirectoryRecords } from '../../jobmanager/store/cluster-marker.ts';
import { LocalJobStore } from '../../jobmanager/store/local-job-store.ts';
import { formatHostPort } from '../../proto/rpc/grpc/address.ts';
import { readFileIfPresent, replaceFile } from '../../storage/durable-file.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { acquireDirectoryLock } from '../run/directory-lock.ts';
import { httpPolicy, type ProcessSecurity, processSecurity } from '../config/process-security.ts';
import type { ProcessContext } from './process-context.ts';
import { openConfiguredStorage } from './storage-options.ts';

/** Resolves when it was told to stop, or rejects with what it could not go on with. */
export async function jobManagerCommand(config: ResolvedConfig, context: ProcessContext): Promise<void> {
  const { logger, engineVersion } = context;
  const security = processSecurity(config, 'job-manager', { nowMs: Date.now, warn: (message) => logger.warn(message) });
  const { workingDirectory } = context;
  const localDirectory = resolve(workingDirectory, config.get('stateDirectory'));
  const storage = await openConfiguredStorage(config, { workingDirectory, localDirectory, logger });
  const objects = storage.opened.store;
  const coordination = coordinate(config, storage, localDirectory, context);
  const fatal = context.failure();
  let http: JobManagerHttp | null = null;
  const { host, port } = config.get('jobManager.address');
  const advertised = config.get('jobManager.advertise');
  const process: JobManagerProcess = await JobManagerProcess.start({
    host,
    port,
    advertisedAddress: advertised === null ? null : formatHostPort(advertised),
    leadership: coordination.leadership,
    openStorage: coordination.openStorage,
    objects,
    clock: systemClock,
    random: Math.random,
    logger,
    settings: {
      slotWaitMs: config.get('slotWait'),
      adoptionTimeoutMs: config.get('adoptionTimeout'),
      cancelTimeoutMs: config.get('cancelTimeout'),
    },
    historyMax: config.get('jobs.historyMax'),
    heartbeatTimeoutMs: config.get('heartbeatTimeout'),
    engineVersion,
    tls: security.tls,
    insecure: security.insecure,
    authorize: security.authorize,
    onFatal: (error: EngineError) => fatal.fail(error),
    logs: context.logs,
    onEvent: (notice, jobId) => http?.noticed(notice, jobId),
  });
  try {
    http = await startHttp(config, security, process, context);
  } catch (error) {
    await process.stop();
    coordination.close();
    storage.opened.close();
    throw error;
  }
  context.ready(`job manager listens on ${process.address}, http on ${http.address}`);
  try {
    await Promise.race([context.stopped, fatal.failed]);
  } finally {
    await http?.stop();
    await process.stop();
    coordination.close();
    storage.opened.close();
  }
}

async function startHttp(
  config: ResolvedConfig,
  security: ProcessSecurity,
  process: JobManagerProcess,
  { logger }: ProcessContext,
): Promise<JobManagerHttp> {
  const { tls, insecure, tokens } = security;
  return await JobManagerHttp.start({
    ...config.get('jobManager.http'),
    tls,
    insecure,
    authorize: httpPolicy(tokens),
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

type ConfiguredStorage = Awaited<ReturnType<typeof openConfiguredStorage>>;

function coordinate(
  config: ResolvedConfig,
  { location, opened }: ConfiguredStorage,
  stateDirectory: string,
  context: ProcessContext,
): Coordination {
  if (config.get('etcd.endpoints').length > 0) return withEtcd(config, opened.store, context);
  if (location.kind === 'directory') return alone(location.directory, opened.store);
  return aloneWith(stateDirectory, opened.store);
}

/** One job manager: its records lie beside the checkpoints, and the directory is its own. */
function alone(directory: string, objects: ObjectStore): Coordination {
  const store = new LocalJobStore({ directory, objects });
  return {
    leadership: (address) => new LocalLeadership({ address, store, lock: () => acquireDirectoryLock(directory) }),
    openStorage: async () => ({ store, clusterId: 'local' }),
    close: () => undefined,
  };
}

/**
 * One job manager whose checkpoints are not in a directory: its records lie in one of its own, and the storage is marked, for
 * no lock keeps a second job manager out of it.
 */
function aloneWith(stateDirectory: string, objects: ObjectStore): Coordination {
  const records = alone(stateDirectory, objects);
  const marker = new ClusterMarker(objects, stateDirectoryRecords);
  return {
    ...records,
    openStorage: async (leaderEpoch) => {
      const known = await readFileIfPresent(clusterIdPath(stateDirectory));
      const clusterId = known === null ? randomUUID() : Buffer.from(known).toString('utf8').trim();
      // Every epoch is a new one: of two copies of a state directory the older is refused.
      await marker.check(known === null ? null : clusterId, leaderEpoch);
      if (known === null) await replaceFile(clusterIdPath(stateDirectory), Buffer.from(`${clusterId}\n`));
      await marker.note(clusterId, leaderEpoch);
      return { ...(await records.openStorage(leaderEpoch)), clusterId };
    },
  };
}

const clusterIdPath = (stateDirectory: string): string => join(stateDirectory, 'cluster-id');

/** @throws EngineError CONFIG_INVALID naming the file that cannot be read */
function etcdOptions(config: ResolvedConfig): EtcdClientOptions {
  const [ca, cert, key] = [config.get('etcd.ca'), config.get('etcd.cert'), config.get('etcd.key')];
  const name = config.get('etcd.user');
  const passwordFile = config.get('etcd.passwordFile');
  const read = (option: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      const message = `${option} ${path} cannot be read: ${(cause as Error).message}`;
      throw new EngineError('CONFIG_INVALID', message, { ids: { option, file: path }, cause });
    }
  };
  return {
    endpoints: config.get('etcd.endpoints'),
    ...(ca === null
      ? {}
      : {
          tls: {
            certificateAuthority: read('etcd.ca', ca),
            ...(cert === null || key === null
              ? {}
              : { certificate: read('etcd.cert', cert), privateKey: read('etcd.key', key) }),
          },
        }),
    ...(name === null || passwordFile === null
      ? {}
      : { user: { name, password: read('etcd.passwordFile', passwordFile).toString('utf8').trim() } }),
  };
}

/** Several job managers, of which etcd lets one lead. */
function withEtcd(config: ResolvedConfig, objects: ObjectStore, { logger }: ProcessContext): Coordination {
  const prefix = config.get('etcd.prefix');
  const leaseTtlMs = config.get('leaseTtl');
  const etcd = new EtcdClient(etcdOptions(config));
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
