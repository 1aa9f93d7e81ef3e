/**
 * From a job file to a planned job: bundle, load exactly as a slot will load it, plan. What a user sees of mistakes in a
 * job file comes from here, before anything is started or written.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FunctionsFingerprint, functionsFingerprint, graphHash } from '../../core/graph/graph-hash.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { PlannedJob } from '../../core/graph/job-definition.ts';
import { EngineError, isEngineError } from '../../core/errors.ts';

export interface PrepareOptions {
  readonly jobFile: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly externals: readonly string[];
  readonly parallelism: number | undefined;
  readonly options: Partial<JobGraph['options']>;
}

export interface PreparedJob extends PlannedJob {
  readonly graphHash: string;
  readonly functionsFingerprint: FunctionsFingerprint;
  readonly artifact: { readonly code: Uint8Array; readonly sha256: string };
  /** Files of the job that went into the artifact, absolute paths; packages not. */
  readonly jobFiles: readonly string[];
}

/**
 * Bundles, loads and plans a job file.
 * @throws EngineError USAGE, JOB_INVALID, PARAMETER_INVALID
 */
export async function prepareJob(options: PrepareOptions): Promise<PreparedJob> {
  const { bundleJob } = await import('../../client/artifact/bundle.ts');
  const bundle = await bundleJob(options.jobFile, { externals: options.externals });
  const planned = await withTemporaryFile(bundle.code, `${bundle.sha256}.mjs`, (path) => planArtifact(path, options));
  return {
    ...planned,
    warnings: [...bundle.warnings, ...planned.warnings],
    graphHash: graphHash(planned.graph),
    functionsFingerprint: functionsFingerprint(planned.functions),
    artifact: bundle,
    jobFiles: bundle.jobFiles,
  };
}

async function planArtifact(path: string, options: PrepareOptions): Promise<PlannedJob> {
  const { loadJobDefinition } = await import('../../taskmanager/artifact/load-artifact.ts');
  const definition = await loadJobDefinition(path);
  const { arguments: jobArguments, environment, parallelism } = options;
  try {
    return definition.plan({
      arguments: jobArguments,
      environment,
      options: options.options,
      ...(parallelism === undefined ? {} : { parallelism }),
    });
  } catch (cause) {
    if (isEngineError(cause)) throw cause;
    const message = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    throw new EngineError('JOB_INVALID', `the definition of the job ${definition.name} failed: ${message}`, {
      ids: { job: definition.name },
      cause,
    });
  }
}

/** A submitted job with another parallelism, from its own code. @throws EngineError USAGE, JOB_INVALID */
export function replanJob(graph: JobGraph, artifact: Uint8Array, parallelism: number): Promise<JobGraph> {
  return withTemporaryFile(artifact, 'job.mjs', async (path) => {
    const { loadJobDefinition } = await import('../../taskmanager/artifact/load-artifact.ts');
    const definition = await loadJobDefinition(path);
    const { parameters: resolvedParameters, options } = graph;
    return definition.plan({ resolvedParameters, parallelism, options: { ...options, parallelism } }).graph;
  });
}

/** The file is needed only while it is loaded; its source map is kept by the process. */
async function withTemporaryFile<T>(bytes: Uint8Array, name: string, use: (path: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-job-'));
  try {
    const path = join(directory, name);
    writeFileSync(path, bytes);
    return await use(path);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
