/** `millrace submit`, `list`, `status`, `cancel`, `forget`, `stop`, `savepoint`: what a person asks of a running cluster. */
import type { Command } from 'commander';
import { ClusterClient } from '../../client/submission/cluster-client.ts';
import { EngineError, fromWireError } from '../../core/errors.ts';
import type { ClusterStatus, JobStatus } from '../../proto/client-messages.ts';
import { formatHostPort } from '../../proto/rpc/grpc/address.ts';
import { TlsFileSource } from '../../proto/rpc/security/tls-files.ts';
import { configOfCommand } from '../config/config-options.ts';
import { clientToken, tlsFilesOf } from '../config/process-security.ts';
import { prepareJob, replanJob } from '../job/prepare-job.ts';
import { recordsText } from '../output/number-text.ts';
import type { Terminal } from '../output/terminal.ts';

export interface ClientOptions {
  /** Has the options of clients: where the cluster is, token, certificates. */
  readonly command: Command;
  readonly json: boolean;
}

export interface SubmitCommandOptions extends ClientOptions {
  readonly jobFile: string;
  readonly jobArguments: Readonly<Record<string, string>>;
  readonly externals: readonly string[];
  readonly parallelism: number | undefined;
  readonly checkpointIntervalMs: number | undefined;
  /** What relative paths of connectors are resolved against; absolute. */
  readonly workingDirectory: string;
  /** Path of the savepoint to go on from; undefined: a fresh start. */
  readonly from: string | undefined;
  /** Wait for the end of the job, and fail when it fails. */
  readonly wait: boolean;
}

export interface ClientContext {
  readonly terminal: Terminal;
  readonly engineVersion: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const waitPollMs = 500;

/** Connects as the options say, and ends the connection after. */
export async function withClient(options: ClientOptions, use: (client: ClusterClient) => Promise<void>): Promise<void> {
  const config = configOfCommand(options.command, 'client', {
    environment: process.env,
    workingDirectory: process.cwd(),
    line: (text) => process.stdout.write(`${text}\n`),
  });
  if (config === null) return;
  const tlsFiles = tlsFilesOf(config);
  const onProblem = (error: Error): void => void process.stderr.write(`warning: ${error.message}\n`);
  const client = await ClusterClient.connect({
    jobManagers: config.get('jobManagers').map(formatHostPort),
    token: clientToken(config)?.reveal() ?? null,
    tls: tlsFiles === null ? null : new TlsFileSource(tlsFiles, { role: 'client', nowMs: Date.now, onProblem }),
  });
  try {
    await use(client);
  } finally {
    client.close();
  }
}

/** Plans and bundles a job here and hands it to the cluster. @throws EngineError what was wrong with the job, or of the cluster */
export async function submitCommand(options: SubmitCommandOptions, context: ClientContext): Promise<void> {
  const { terminal, engineVersion, environment } = context;
  const { checkpointIntervalMs } = options;
  const job = await prepareJob({
    jobFile: options.jobFile,
    arguments: options.jobArguments,
    environment,
    externals: options.externals,
    parallelism: options.parallelism,
    options: checkpointIntervalMs === undefined ? {} : { checkpointIntervalMs },
  });
  for (const warning of job.warnings) terminal.note(`warning: ${warning}`);
  refuseCollect(job.graph);
  await withClient(options, async (client) => {
    const { jobId } = await client.submit({
      graph: job.graph,
      graphHash: job.graphHash,
      artifact: job.artifact.code,
      engineVersion,
      workingDirectory: options.workingDirectory,
      restoreSavepoint: options.from ?? null,
    });
    if (!options.wait)
      return terminal.line(options.json ? JSON.stringify({ ok: true, jobId }) : `submitted as ${jobId}`);
    terminal.note(`submitted as ${jobId}`);
    const status = await end(client, jobId);
    if (options.json) terminal.line(JSON.stringify({ ok: status.state === 'finished', ...statusJson(status) }));
    else terminal.line(statusText(status));
    if (status.state === 'failed' && status.error !== null) throw fromWireError(status.error);
  });
}

/** Collected results are handed to whoever runs the job, and on a cluster nobody of ours is there. */
function refuseCollect(graph: {
  readonly name: string;
  readonly vertices: readonly { readonly operators: readonly { readonly id: string; readonly config: unknown }[] }[];
}): void {
  for (const { operators } of graph.vertices) {
    for (const { id, config } of operators) {
      if ((config as { connector?: unknown })?.connector !== 'collect') continue;
      const message = `operator '${id}' of job "${graph.name}" collects results for the process that runs the job, which on a cluster is nobody's → write to a sink, for example files.jsonl()`;
      throw new EngineError('NOT_SUPPORTED', message, { ids: { operator: id } });
    }
  }
}

async function end(client: ClusterClient, jobId: string): Promise<JobStatus> {
  for (;;) {
    const status = await client.status(jobId);
    if (['finished', 'failed', 'canceled', 'stopped'].includes(status.state)) return status;
    await new Promise((resolve) => setTimeout(resolve, waitPollMs));
  }
}

export function listCommand(options: ClientOptions, terminal: Terminal): Promise<void> {
  return withClient(options, async (client) => {
    const jobs = await client.list();
    if (options.json) return terminal.line(JSON.stringify({ ok: true, jobs: jobs.map(statusJson) }));
    if (jobs.length === 0) return terminal.line('no jobs');
    for (const job of jobs) terminal.line(statusText(job));
  });
}

export function statusCommand(job: string | null, options: ClientOptions, terminal: Terminal): Promise<void> {
  return withClient(options, async (client) => {
    if (job === null) {
      const cluster = await client.cluster();
      return terminal.line(options.json ? JSON.stringify({ ok: true, ...cluster }) : clusterText(cluster));
    }
    const status = await client.status(job);
    if (options.json) return terminal.line(JSON.stringify({ ok: true, ...statusJson(status) }));
    terminal.line(statusText(status));
    for (const vertex of status.vertices) {
      const states = Object.entries(vertex.subtaskStates).map(([state, count]) => `${count} ${state}`);
      terminal.line(
        `  ${vertex.name} × ${vertex.parallelism}: ${states.join(', ') || 'not running'}, ${recordsText(vertex.recordsIn)} in, ${recordsText(vertex.recordsOut)} out`,
      );
    }
    if (status.error !== null) terminal.line(`  last failure: ${status.error.message}`);
  });
}

/**
 * Plans the job anew from its own artifact, here: job managers never run a job's code.
 * @throws EngineError USAGE for a parallelism the job cannot have
 */
export function rescaleCommand(
  job: string,
  parallelism: number,
  options: ClientOptions,
  terminal: Terminal,
): Promise<void> {
  return withClient(options, async (client) => {
    const { graph, artifact } = await client.download(job);
    const { checkpointId } = await client.rescale(job, await replanJob(graph, artifact, parallelism));
    if (options.json) return terminal.line(JSON.stringify({ ok: true, checkpointId, parallelism }));
    terminal.line(`${job} goes on with parallelism ${parallelism} from checkpoint ${checkpointId}`);
  });
}

export function cancelCommand(job: string, options: ClientOptions, terminal: Terminal): Promise<void> {
  return withClient(options, async (client) => {
    await client.cancel(job);
    terminal.line(options.json ? JSON.stringify({ ok: true }) : `${job} is being canceled`);
  });
}

export function forgetCommand(job: string, options: ClientOptions, terminal: Terminal): Promise<void> {
  return withClient(options, async (client) => {
    await client.forget(job);
    terminal.line(options.json ? JSON.stringify({ ok: true }) : `${job} is forgotten`);
  });
}

export function stopCommand(
  job: string,
  wishes: { readonly savepoint: boolean; readonly drain: boolean },
  options: ClientOptions,
  terminal: Terminal,
): Promise<void> {
  return withClient(options, async (client) => {
    const { checkpointId, savepointPath } = await client.stop(job, wishes);
    if (options.json) return terminal.line(JSON.stringify({ ok: true, checkpointId, savepointPath }));
    const kept = savepointPath === null ? '' : `, savepoint ${savepointPath}`;
    const how = wishes.drain ? 'drained' : 'stopped';
    terminal.line(`${job} is ${how}${checkpointId === null ? '' : ` with checkpoint ${checkpointId}`}${kept}`);
  });
}

export function savepointCommand(job: string, options: ClientOptions, terminal: Terminal): Promise<void> {
  return withClient(options, async (client) => {
    const { checkpointId, savepointPath } = await client.savepoint(job);
    if (options.json) return terminal.line(JSON.stringify({ ok: true, checkpointId, savepointPath }));
    terminal.line(`checkpoint ${checkpointId} of ${job} is kept as savepoint ${savepointPath}`);
  });
}

export function disposeCommand(savepointPath: string, options: ClientOptions, terminal: Terminal): Promise<void> {
  return withClient(options, async (client) => {
    await client.disposeSavepoint(savepointPath);
    if (options.json) return terminal.line(JSON.stringify({ ok: true, savepointPath }));
    terminal.line(`savepoint ${savepointPath} is disposed of`);
  });
}

function statusJson(status: JobStatus): object {
  const { watermarkMs } = status.progress;
  return {
    ...status,
    progress: { ...status.progress, watermarkMs: Number.isFinite(watermarkMs) ? watermarkMs : null },
  };
}

function statusText(status: JobStatus): string {
  const { jobId, state, progress, lastCheckpoint, restarts, slotsMissing, slotsNeeded } = status;
  const parts = [
    `${jobId}  ${state}`,
    `${recordsText(progress.recordsIn)} in`,
    `${recordsText(progress.recordsOut)} out`,
  ];
  if (lastCheckpoint !== null) parts.push(`checkpoint ${lastCheckpoint.id}`);
  if (restarts > 0) parts.push(`${restarts} restarts`);
  if (slotsMissing > 0) parts.push(`waits for ${slotsMissing} of ${slotsNeeded} slots`);
  return parts.join(', ');
}

function clusterText(cluster: ClusterStatus): string {
  const lines = [`leader ${cluster.leaderAddress} (epoch ${cluster.leaderEpoch}), millrace ${cluster.engineVersion}`];
  for (const { id, host, slots, freeSlots } of cluster.taskManagers)
    lines.push(`  task manager ${id} on ${host}: ${freeSlots} of ${slots} slots free`);
  if (cluster.taskManagers.length === 0) lines.push('  no task managers');
  return lines.join('\n');
}
