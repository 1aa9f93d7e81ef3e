/**
 * Embedded mode: job manager and task manager in one process, with a local directory as storage. The same code as a
 * cluster; their messages are encoded and decoded although they share a process.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../core/errors.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import { systemClock } from '../../jobmanager/clock.ts';
import { JobManager } from '../../jobmanager/job-manager.ts';
import type { JobProgress } from '../../jobmanager/job-progress.ts';
import { LocalJobStore } from '../../jobmanager/store/local-job-store.ts';
import { inProcessJobManager, inProcessTaskManager } from '../../proto/rpc/in-process.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { TaskManager } from '../../taskmanager/task-manager.ts';
import { recordsWrittenCounter } from '../../runtime/slot/slot-runtime.ts';
import type { RunEmbeddedOptions, RunOutcome, RunProgress } from './run-types.ts';

/** How often progress is told, in ms. */
const progressIntervalMs = 1_000;
const heartbeatIntervalMs = 250;
/** Failures in a row to write the job's own records, half a second apart, before a run gives up: a full disk stays full. */
const storeFailuresMax = 4;
/** A subtask that does not return to its slot loop for this long is ended, in ms. */
const slotStuckTimeoutMs = 60_000;

/** Runs one job in this process. */
export async function runEmbedded(options: RunEmbeddedOptions): Promise<RunOutcome> {
  const { directory, graph, graphHash, logger } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const objects = new LocalDirectoryStore(directory);
  const jobManager = new JobManager({
    store: new LocalJobStore({ directory, objects }),
    clock: systemClock,
    random: Math.random,
    logger: { info: (message) => logger.info(message), warn: (message) => logger.warn(message) },
    // The task manager lives in this process: silence means a busy machine, not a lost one.
    settings: { heartbeatTimeoutMs: null, storeFailuresMax },
    onEvent: (notice) => {
      if (notice.kind === 'state-changed' && notice.to === 'deploying') started();
    },
  });
  let begun = false;
  const started = (): void => {
    if (begun) return;
    begun = true;
    options.onStart?.(jobManager.progress()?.restored ?? null);
  };
  const delivered = new Set<string>();
  const taskManager = await TaskManager.start({
    slotCount: options.slots,
    host: '127.0.0.1',
    jobManager: inProcessJobManager(jobManager.gateway),
    store: objects,
    storeDirectory: directory,
    artifactDirectory: join(directory, 'local', 'artifacts'),
    workingDirectory: options.workingDirectory,
    backend: options.backend,
    clusterId: randomBytes(32).toString('hex'),
    engineVersion: options.engineVersion,
    heartbeatIntervalMs,
    slotStuckTimeoutMs: options.slotStuckTimeoutMs ?? slotStuckTimeoutMs,
    dataPorts: options.dataPorts ?? null,
    checkImmutability: true,
    onLog: (level, message) => logger[level](message),
    onDelivery: (channel, id, values) => {
      const key = `${channel}\u0000${id}`;
      if (delivered.has(key)) return;
      delivered.add(key);
      options.onDelivery(channel, id, values);
    },
  });
  jobManager.addTaskManager(taskManager.id, inProcessTaskManager(taskManager));
  const stop = (): void => jobManager.stop();
  options.stop.addEventListener('abort', stop);
  const tell = (): void => {
    const progress = jobManager.progress();
    if (begun && progress !== null) options.onProgress(runProgress(progress));
  };
  const timer = setInterval(tell, progressIntervalMs);
  try {
    await taskManager.register();
    const submissions = `${jobDirectoryName(graph.name)}/submissions/`;
    // The directory is this run's alone: what earlier runs submitted is read by nobody any more.
    for await (const { name } of objects.list(submissions)) await objects.delete(name);
    const jobPath = `${submissions}${randomUUID()}`;
    const graphRef = await objects.put(`${jobPath}/graph.json`, Buffer.from(JSON.stringify(graph)));
    const artifactRef = await objects.put(`${jobPath}/artifact.mjs`, await readFile(options.artifact.path));
    const submitted = jobManager.submit({
      graph,
      graphHash,
      restorableGraphHashes: options.restorableGraphHashes ?? [],
      graphRef,
      artifactRef,
      resume: options.resume,
    });
    if (options.stop.aborted) stop();
    const outcome = await submitted;
    return { state: endOf(outcome.state), error: outcome.error, progress: runProgress(outcome.progress) };
  } finally {
    clearInterval(timer);
    options.stop.removeEventListener('abort', stop);
    await taskManager.stop();
  }
}

function endOf(state: string): RunOutcome['state'] {
  if (state === 'finished' || state === 'stopped' || state === 'failed' || state === 'canceled') return state;
  throw new EngineError('INTERNAL', `a job ended in state '${state}'`, { domain: 'internal' });
}

function runProgress(progress: JobProgress): RunProgress {
  const { [recordsWrittenCounter]: recordsOut = 0, ...counters } = progress.counters;
  return { ...progress, recordsOut, counters };
}
