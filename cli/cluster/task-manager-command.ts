/** `millrace task-manager`: one task manager process in the foreground, until it is told to stop. */
import { join, resolve } from 'node:path';
import type { ResolvedConfig } from '../../core/config/resolve-config.ts';
import { EngineError } from '../../core/errors.ts';
import { formatHostPort } from '../../proto/rpc/grpc/address.ts';
import { TaskManagerHttp } from '../../taskmanager/http/task-manager-http.ts';
import { TaskManagerProcess } from '../../taskmanager/cluster/task-manager-process.ts';
import { containerLimitBytes, mebibytes } from '../../taskmanager/memory/memory-watch.ts';
import { certificatePolicy, processSecurity } from '../config/process-security.ts';
import type { ProcessContext } from './process-context.ts';
import { openConfiguredStorage } from './storage-options.ts';

/** Resolves when it was told to stop. */
export async function taskManagerCommand(config: ResolvedConfig, context: ProcessContext): Promise<void> {
  const { logger, logs, engineVersion, workingDirectory } = context;
  const security = processSecurity(config, 'task-manager', {
    nowMs: Date.now,
    warn: (message) => logger.warn(message),
  });
  const { tls, insecure, authorize, tlsFiles } = security;
  const localDirectory = resolve(workingDirectory, config.get('localDirectory'));
  const storage = await openConfiguredStorage(config, { workingDirectory, localDirectory, logger });
  const host = config.get('taskManager.host');
  const slotCount = config.get('taskManager.slots');
  const taskManagerProcess = await TaskManagerProcess.start({
    jobManagerAddresses: config.get('jobManagers').map(formatHostPort),
    listenHost: host,
    host: config.get('taskManager.advertise') ?? host,
    rpcPort: config.get('taskManager.rpcPort'),
    slotCount,
    store: storage.opened.store,
    storage: storage.location,
    artifactDirectory: join(localDirectory, 'artifacts'),
    workingDirectory,
    backend: 'memory',
    clusterId: 'millrace',
    engineVersion,
    heartbeatIntervalMs: config.get('heartbeatInterval'),
    orphanTimeoutMs: config.get('orphanTimeout'),
    slotStuckTimeoutMs: config.get('stuckTimeout'),
    memoryLimitBytes: memoryLimit(config),
    dataPorts: config.get('dataPortRange'),
    slotTls: tlsFiles,
    secretsDirectory: config.get('secretsDirectory'),
    onLog: (level, message, about) => logger[level](message, about),
    logs,
    tls,
    insecure,
    authorize,
  });
  const { taskManager } = taskManagerProcess;
  const http = await TaskManagerHttp.start({
    ...config.get('taskManager.http'),
    tls,
    insecure,
    authorize: certificatePolicy(tls),
    logger,
    figures: () => ({ attempts: taskManager.attemptMetrics, slotsRunning: taskManager.liveSlots.length }),
    ready: () => taskManager.followsLeader,
  });
  context.ready(
    `task manager ${taskManager.id} with ${slotCount} slots listens on ${taskManagerProcess.rpcAddress}, http on ${http.address}`,
  );
  try {
    await Promise.race([taskManagerProcess.register(), context.stopped]);
    await context.stopped;
  } finally {
    await http.stop();
    await taskManagerProcess.stop();
    storage.opened.close();
  }
}

/** Of the rest the system needs some, and a slot that is ended takes a moment. */
const shareOfContainer = 0.9;

/** @throws EngineError CONFIG_INVALID for less than a process uses that runs nothing */
function memoryLimit(config: ResolvedConfig): number | null {
  const limit = config.get('taskManager.memoryLimit');
  const used = process.memoryUsage.rss();
  if (limit !== null && limit <= used) {
    const message = `taskManager.memoryLimit is ${mebibytes(limit)} MiB, but this process uses ${mebibytes(used)} MiB before it runs anything → give more, 512MiB for a small job`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { option: 'taskManager.memoryLimit' } });
  }
  const container = containerLimitBytes();
  return limit ?? (container === null ? null : Math.floor(container * shareOfContainer));
}
