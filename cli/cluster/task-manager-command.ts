/** `millrace task-manager`: one task manager process in the foreground, until it is told to stop. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { allowEverybody } from '../../proto/rpc/grpc/authorization.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { TaskManagerHttp } from '../../taskmanager/http/task-manager-http.ts';
import { TaskManagerProcess } from '../../taskmanager/cluster/task-manager-process.ts';
import type { PortRange } from '../embedded/run-types.ts';
import type { ProcessContext } from './process-context.ts';

export interface TaskManagerCommandOptions {
  /** Addresses of all job managers, `host:port`. */
  readonly jobManagers: readonly string[];
  readonly slots: number;
  /** Address of this machine to listen on, for its service and for the slots. */
  readonly host: string;
  /** Host that others reach it at; null: where it listens. */
  readonly advertised: string | null;
  /** 0: any free one. */
  readonly rpcPort: number;
  readonly dataPorts: PortRange | null;
  /** Shared directory of graphs, artifacts and checkpoints. */
  readonly storage: string;
  /** For this process alone: copies of artifacts. */
  readonly localDirectory: string;
  readonly heartbeatIntervalMs: number;
  readonly orphanTimeoutMs: number;
  readonly stuckTimeoutMs: number;
  /** Port of metrics and health; null: none. */
  readonly httpPort: number | null;
  readonly logFormat: 'auto' | 'text' | 'json';
}

/** Resolves when it was told to stop. */
export async function taskManagerCommand(options: TaskManagerCommandOptions, context: ProcessContext): Promise<void> {
  const { logger, engineVersion, workingDirectory } = context;
  const storeDirectory = resolve(workingDirectory, options.storage);
  await mkdir(storeDirectory, { recursive: true, mode: 0o700 });
  const process = await TaskManagerProcess.start({
    jobManagerAddresses: options.jobManagers,
    listenHost: options.host,
    host: options.advertised ?? options.host,
    rpcPort: options.rpcPort,
    slotCount: options.slots,
    store: new LocalDirectoryStore(storeDirectory),
    storeDirectory,
    artifactDirectory: join(resolve(workingDirectory, options.localDirectory), 'artifacts'),
    workingDirectory,
    backend: 'memory',
    clusterId: 'millrace',
    engineVersion,
    heartbeatIntervalMs: options.heartbeatIntervalMs,
    orphanTimeoutMs: options.orphanTimeoutMs,
    slotStuckTimeoutMs: options.stuckTimeoutMs,
    dataPorts: options.dataPorts,
    onLog: (level, message) => logger[level](message),
    tls: null,
    insecure: false,
    authorize: allowEverybody,
  });
  const { taskManager } = process;
  const http =
    options.httpPort === null
      ? null
      : await TaskManagerHttp.start({
          host: options.host,
          port: options.httpPort,
          tls: null,
          authorize: () => undefined,
          logger,
          figures: () => ({ attempts: taskManager.attemptMetrics, slotsRunning: taskManager.liveSlots.length }),
          ready: () => taskManager.followsLeader,
        });
  const shown = http === null ? '' : `, http on ${http.address}`;
  context.ready(`task manager ${taskManager.id} with ${options.slots} slots listens on ${process.rpcAddress}${shown}`);
  try {
    await Promise.race([process.register(), context.stopped]);
    await context.stopped;
  } finally {
    await http?.stop();
    await process.stop();
  }
}
