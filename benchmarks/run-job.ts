/**
 * Runs a job file in this process as `millrace run` does: bundled, planned, slots as threads, state in a directory of its
 * own, and collects what its measuring sinks delivered.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runEmbedded } from '../cli/embedded/run-embedded.ts';
import type { RunProgress } from '../cli/embedded/run-types.ts';
import { prepareJob } from '../cli/job/prepare-job.ts';
import { enginePackage } from '../taskmanager/artifact/engine-package.ts';
import { cpuSecondsOf } from './row.ts';
import { reportChannel, type SinkReport } from './sink-report.ts';

export interface JobRun {
  /** File of a job below `benchmarks/jobs`, or relative to it, without its ending. */
  readonly job: string;
  readonly parameters: Readonly<Record<string, number | string>>;
  readonly parallelism: number;
  /** Null: no periodic checkpoints; one is taken at the end all the same. */
  readonly checkpointIntervalMs: number | null;
  /** Values delivered on other channels than that of reports. */
  readonly onDelivery?: (channel: string, values: readonly unknown[]) => void;
  /** Looks at the directory in which the job ran, with what it wrote, before it is removed. */
  readonly inspect?: (workingDirectory: string) => Promise<void>;
}

export interface JobResult {
  readonly reports: readonly SinkReport[];
  /** Completed ones, with that at the end. */
  readonly checkpoints: number;
  readonly progress: RunProgress;
  /** From deploying to the end, with both. */
  readonly seconds: number;
  /** Processor time of this process in that time. */
  readonly cpuSeconds: number;
}

const neverMs = 86_400_000;

/** @throws Error when the job does not finish */
export async function runJob(run: JobRun): Promise<JobResult> {
  const { directory: root, version } = enginePackage();
  const job = await prepareJob({
    jobFile: join(root, 'benchmarks/jobs', `${run.job}.ts`),
    arguments: Object.fromEntries(Object.entries(run.parameters).map(([name, value]) => [name, String(value)])),
    environment: {},
    externals: [],
    parallelism: run.parallelism,
    options: { checkpointIntervalMs: run.checkpointIntervalMs ?? neverMs },
  });
  const directory = mkdtempSync(join(tmpdir(), 'millrace-benchmark-'));
  try {
    const artifactPath = join(directory, 'artifact.mjs');
    writeFileSync(artifactPath, job.artifact.code);
    const reports: SinkReport[] = [];
    const began = { ms: performance.now(), cpuSeconds: cpuSecondsOf() };
    const outcome = await runEmbedded({
      graph: { ...job.graph, options: { ...job.graph.options, restart: { kind: 'none' } } },
      graphHash: job.graphHash,
      artifact: { path: artifactPath, sha256: job.artifact.sha256 },
      directory: join(directory, 'state'),
      workingDirectory: directory,
      slots: run.parallelism,
      engineVersion: version,
      backend: 'memory',
      resume: false,
      stop: new AbortController().signal,
      onProgress: () => {},
      onDelivery: (channel, _id, values) => {
        if (channel === reportChannel) reports.push(...(values as SinkReport[]));
        else run.onDelivery?.(channel, values);
      },
      logger: { info: () => {}, warn: (message) => process.stderr.write(`${message}\n`) },
    });
    if (outcome.state !== 'finished') throw outcome.error ?? new Error(`the job ${run.job} ended as ${outcome.state}`);
    const seconds = (performance.now() - began.ms) / 1000;
    const cpuSeconds = cpuSecondsOf() - began.cpuSeconds;
    await run.inspect?.(directory);
    const { progress } = outcome;
    return { reports, checkpoints: progress.lastCheckpoint?.id ?? 0, progress, seconds, cpuSeconds };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
