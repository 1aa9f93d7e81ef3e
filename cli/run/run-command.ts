/**
 * `millrace run`: one job in this process. Prepares the job, opens its state directory, runs it, and tells how it went.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { EngineError } from '../../core/errors.ts';
import type { JobGraph, JobOptions, RestartStrategyOptions } from '../../core/graph/job-graph.ts';
import { slotsNeeded } from '../../core/graph/slot-sharing.ts';
import type { PortRange, RunEmbedded, RunOutcome, RunProgress } from '../embedded/run-types.ts';
import { type PreparedJob, prepareJob } from '../job/prepare-job.ts';
import { recordsText } from '../output/number-text.ts';
import type { Terminal } from '../output/terminal.ts';
import { CollectedResults } from './collected-results.ts';
import { destinationsOf, prepareOutputs, sinksOf } from './prepare-outputs.ts';
import { HeldTime } from './held-time.ts';
import { type ProgressSample, progressText } from './progress-text.ts';
import { openStateDirectory, type StateDirectory } from './state-directory.ts';
import { listenForStop } from './stop-signals.ts';
import { type RunSummary, summaryJson, summaryText } from './summary-text.ts';

export interface RunCommandOptions {
  readonly jobFile: string;
  readonly jobArguments: Readonly<Record<string, string>>;
  readonly externals: readonly string[];
  readonly stateDirectory: string | null;
  readonly fresh: boolean;
  /** Go on with a changed graph where its state means the same. */
  readonly upgrade: boolean;
  readonly parallelism: number | undefined;
  readonly checkpointIntervalMs: number | undefined;
  readonly restartsMax: number | undefined;
  readonly slotStuckTimeoutMs: number | undefined;
  readonly dataPorts: PortRange | null;
  readonly backend: 'memory' | 'cold';
  readonly json: boolean;
  readonly verbose: boolean;
}

export interface RunCommandContext {
  readonly terminal: Terminal;
  readonly engineVersion: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** The embedded engine; loaded by the command when absent. */
  readonly runEmbedded?: RunEmbedded;
}

/** Restarts of a run in the foreground before it gives up, where neither job nor user says otherwise. */
const restartsMaxDefault = 3;

/** How a run ended, for the exit code; the error is already in the JSON line when `--json` was given. */
export interface RunResult {
  /** Null when the job had already finished before. */
  readonly outcome: RunOutcome | null;
  /** True when a person stopped it (Ctrl-C). */
  readonly interrupted: boolean;
}

/** One run of a job that is prepared. */
export interface PreparedRun {
  readonly job: PreparedJob;
  readonly directory: string;
  /** Aborted to stop with a last checkpoint, as Ctrl-C does. */
  readonly stop?: AbortSignal;
}

/**
 * Runs a job to its end.
 * @throws EngineError when it could not be started; a job that failed is a result, not a throw
 */
export async function runCommand(options: RunCommandOptions, context: RunCommandContext): Promise<RunResult> {
  const job = await prepareForRun(options, context);
  for (const warning of job.warnings) context.terminal.note(`warning: ${warning}`);
  return await withStateDirectory(options, context, (directory) => runPrepared({ job, directory }, options, context));
}

/** Bundles, loads and plans the job file of a run. */
export function prepareForRun(options: RunCommandOptions, { environment }: RunCommandContext): Promise<PreparedJob> {
  const { jobFile, externals, parallelism } = options;
  return prepareJob({
    jobFile,
    arguments: options.jobArguments,
    environment,
    externals,
    parallelism,
    options: optionOverrides(options),
  });
}

/** Gives `use` the named state directory, or a temporary one that is removed afterwards. */
export async function withStateDirectory<T>(
  { stateDirectory }: RunCommandOptions,
  { workingDirectory }: RunCommandContext,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  if (stateDirectory?.startsWith('s3://') === true) {
    const message = `--state-dir ${stateDirectory}: a job that runs in one process keeps its state in a directory → give one, or submit the job to a cluster, whose storage may be in S3`;
    throw new EngineError('NOT_SUPPORTED', message, { ids: { option: '--state-dir' } });
  }
  if (stateDirectory !== null) return await use(resolve(workingDirectory, stateDirectory));
  const temporary = mkdtempSync(join(tmpdir(), 'millrace-run-'));
  const removeTemporary = (): void => rmSync(temporary, { recursive: true, force: true });
  process.once('exit', removeTemporary);
  try {
    return await use(temporary);
  } finally {
    process.off('exit', removeTemporary);
    removeTemporary();
  }
}

function optionOverrides(options: RunCommandOptions): Partial<JobOptions> {
  return options.checkpointIntervalMs === undefined ? {} : { checkpointIntervalMs: options.checkpointIntervalMs };
}

/**
 * Runs a prepared job in its state directory to its end.
 * @throws EngineError when it could not be started
 */
export async function runPrepared(
  prepared: PreparedRun,
  options: RunCommandOptions,
  context: RunCommandContext,
): Promise<RunResult> {
  const { job } = prepared;
  const sinks = sinksOf(job.functions);
  const wanted = { ...job, engineVersion: context.engineVersion, workingDirectory: context.workingDirectory };
  const directory = await openStateDirectory(prepared.directory, wanted, {
    fresh: options.fresh,
    upgrade: options.upgrade,
    prepareOutputs: (workingDirectory) => prepareOutputs(sinks, workingDirectory, options.fresh),
  });
  if (directory === null) {
    sayFinished(job.graph.name, options, context.terminal);
    return { outcome: null, interrupted: false };
  }
  // Also when the process is ended by a second Ctrl-C.
  const release = (): void => directory.close();
  process.once('exit', release);
  try {
    return await runOpened(directory, prepared, options, context);
  } finally {
    process.off('exit', release);
    release();
  }
}

function sayFinished(jobName: string, options: RunCommandOptions, terminal: Terminal): void {
  if (options.json) {
    terminal.line(
      JSON.stringify({
        ok: true,
        job: jobName,
        state: 'finished',
        alreadyFinished: true,
        stateDirectory: options.stateDirectory,
      }),
    );
    return;
  }
  terminal.line(`${jobName} has already finished; nothing to do`);
  terminal.note(`to run it again from the beginning: --fresh, or another --state-dir than ${options.stateDirectory}`);
}

async function runOpened(
  directory: StateDirectory,
  prepared: PreparedRun,
  options: RunCommandOptions,
  context: RunCommandContext,
): Promise<RunResult> {
  const { job } = prepared;
  const { terminal } = context;
  for (const change of directory.changes)
    terminal.note(`note: ${change} since the state was made; going on with it as it is now`);
  if (directory.workingDirectory !== context.workingDirectory) {
    terminal.note(`note: relative paths are resolved against ${directory.workingDirectory}, where the job was started`);
  }
  const results = new CollectedResults(options.json ? null : (line) => terminal.line(line));
  const begun = performance.now();
  const { outcome, interrupted } = await runEngine(directory, prepared, { options, context, results });
  await recordEnd(directory, outcome);
  terminal.endProgress();
  const summary: RunSummary = {
    jobName: job.graph.name,
    outcome,
    elapsedMs: performance.now() - begun,
    destinations: destinationsOf(sinksOf(job.functions)),
    stateDirectory: options.stateDirectory,
  };
  if (options.json) terminal.line(JSON.stringify(summaryJson(summary, results.toJson())));
  else terminal.summary(summaryText(summary));
  return { outcome, interrupted };
}

/** A directory whose end was not recorded is resumed like that of a killed run, so the error of the job itself comes first. */
async function recordEnd(directory: StateDirectory, outcome: RunOutcome): Promise<void> {
  try {
    await directory.recordPhase(outcome.state);
  } catch (error) {
    if (outcome.error === null) throw error;
  }
}

interface Surroundings {
  readonly options: RunCommandOptions;
  readonly context: RunCommandContext;
  readonly results: CollectedResults;
}

async function runEngine(
  directory: StateDirectory,
  { job, stop }: PreparedRun,
  { options, context: { terminal, runEmbedded, engineVersion }, results }: Surroundings,
): Promise<{ outcome: RunOutcome; interrupted: boolean }> {
  const slots = Math.max(1, slotsNeeded(job.graph));
  requirePorts(options.dataPorts, slots);
  const run = runEmbedded ?? (await import('../embedded/run-embedded.ts')).runEmbedded;
  const signals = listenForStop(
    (signal) => terminal.note(`${signal}: stopping with a last checkpoint; again to end at once`),
    () => terminal.error('ended at once, without a last checkpoint'),
  );
  try {
    const outcome = await run({
      graph: withRestartLimit(job.graph, options.restartsMax),
      graphHash: job.graphHash,
      restorableGraphHashes: directory.restorableGraphHashes,
      artifact: { path: directory.artifactPath, sha256: job.artifact.sha256 },
      directory: directory.storageDirectory,
      workingDirectory: directory.workingDirectory,
      engineVersion,
      slots,
      dataPorts: options.dataPorts,
      backend: options.backend,
      ...(options.slotStuckTimeoutMs === undefined ? {} : { slotStuckTimeoutMs: options.slotStuckTimeoutMs }),
      resume: directory.resume,
      stop: stop === undefined ? signals.stop : AbortSignal.any([signals.stop, stop]),
      onStart: (restored) => {
        if (directory.resume) terminal.note(resumedText(restored));
      },
      onProgress: progressReporter(terminal),
      onDelivery: (channel, id, values) => results.add(channel, id, values),
      logger: {
        info: (message, ids) => {
          if (options.verbose) terminal.note(`${message}${idsText(ids)}`);
        },
        warn: (message, ids) => terminal.note(`warning: ${message}${idsText(ids)}`),
      },
    });
    return { outcome, interrupted: signals.stop.aborted };
  } finally {
    signals.dispose();
  }
}

/** Each slot listens on a port of its own; a single slot on none. */
function requirePorts(ports: PortRange | null, slots: number): void {
  if (ports === null || slots === 1) return;
  const count = ports.last - ports.first + 1;
  if (count >= slots) return;
  const range = ports.first === ports.last ? String(ports.first) : `${ports.first}-${ports.last}`;
  const remedy = `name ${slots} ports: --data-ports ${ports.first}-${ports.first + slots - 1}`;
  throw new EngineError(
    'USAGE',
    `--data-ports ${range} is ${count === 1 ? 'one port' : `${count} ports`}, and this job runs in ${slots} slots, each with a port of its own → ${remedy}`,
  );
}

/** Where a run goes on, for the person in front of the screen. */
export function resumedText(restored: RunProgress['restored']): string {
  if (restored === null) return 'no checkpoint was completed before: beginning at the beginning';
  return `going on from checkpoint ${restored.checkpointId}, which covers ${recordsText(restored.sourceRecords)} of the input`;
}

/** Shows at most one line a second, and each change of state. */
function progressReporter(terminal: Terminal): (progress: RunProgress) => void {
  const begun = performance.now();
  const periodMs = 950;
  const heldTime = new HeldTime();
  let shown: ProgressSample | null = null;
  return (progress) => {
    const sample = { progress, elapsedMs: performance.now() - begun, nowMs: Date.now() };
    const due =
      shown === null || sample.elapsedMs - shown.elapsedMs >= periodMs || shown.progress.state !== progress.state;
    if (!due) return;
    terminal.progress(progressText(sample, shown));
    const held = heldTime.observe(sample);
    if (held !== null) terminal.note(held);
    shown = sample;
  };
}

function idsText(ids: Readonly<Record<string, string | number>> | undefined): string {
  const entries = Object.entries(ids ?? {});
  return entries.length === 0 ? '' : ` (${entries.map(([name, value]) => `${name} ${value}`).join(', ')})`;
}

/**
 * A run in the foreground ends when it cannot go on: a strategy that never gives up is bounded, and `--max-restarts`
 * bounds any. Restart strategies are no part of the graph hash.
 */
export function withRestartLimit(graph: JobGraph, restartsMax: number | undefined): JobGraph {
  const restart = limitRestarts(graph.options.restart, restartsMax);
  return { ...graph, options: { ...graph.options, restart } };
}

function limitRestarts(strategy: RestartStrategyOptions, restartsMax: number | undefined): RestartStrategyOptions {
  if (restartsMax === 0) return { kind: 'none' };
  switch (strategy.kind) {
    case 'exponential-delay':
      return { ...strategy, attemptsMax: restartsMax ?? strategy.attemptsMax ?? restartsMaxDefault };
    case 'fixed-delay':
      return { ...strategy, attemptsMax: restartsMax ?? strategy.attemptsMax };
    case 'failure-rate':
      return restartsMax === undefined
        ? strategy
        : { kind: 'fixed-delay', delayMs: strategy.delayMs, attemptsMax: restartsMax };
    case 'none':
      return restartsMax === undefined ? strategy : { kind: 'fixed-delay', delayMs: 1_000, attemptsMax: restartsMax };
  }
}
