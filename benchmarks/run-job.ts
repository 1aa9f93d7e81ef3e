/**
 * Runs a job file in this process as `millrace run` does: bundled, planned, slots as threads, state in a directory of its
 * own, and collects what its measuring sinks delivered.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runEmbedded } from '../cli/embedded/run-embedded.ts';
import { prepareJob } from '../cli/job/prepare-job.ts';
import { enginePackage } from '../taskmanager/artifact/engine-package.ts';
import { reportChannel, type SinkReport } from './sink-report.ts';

export interface JobRun {
  /** Name of a file of `benchmarks/jobs`, without its ending. */
  readonly job: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly parallelism: number;
  /** Null: no periodic checkpoints; one is taken at the end all the same. */
  readonly checkpointIntervalMs: number | null;
}

export interface JobResult {
  readonly reports: readonly SinkReport[];
  /** Completed ones, with that at the end. */
  readonly checkpoints: number;
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
      },
      logger: { info: () => {}, warn: (message) => process.stderr.write(`${message}\n`) },
    });
    if (outcome.state !== 'finished') throw outcome.error ?? new Error(`the job ${run.job} ended as ${outcome.state}`);
    return { reports, checkpoints: outcome.progress.lastCheckpoint?.id ?? 0 };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
