/**
 * Kills a run with SIGKILL again and again and resumes it, until it has been killed often enough and has then finished.
 *
 * Each kill comes a random part of the checkpoint interval after a checkpoint of that very process completed, so every
 * process gets on and the moments are spread over the life of a checkpoint. The seed is printed: the delays are the same
 * with it, the moments of a real process of course are not.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { committedFiles } from 'millrace/files';
import { LocalJobStore } from '../jobmanager/store/local-job-store.ts';
import { LocalDirectoryStore } from '../storage/local-directory.ts';
import { MillraceRun, type MillraceRunOptions, type RunSummary } from './millrace-run.ts';

export interface KillRoundsOptions {
  readonly run: MillraceRunOptions;
  readonly jobName: string;
  /** Output directories of all sinks. */
  readonly outputs: readonly string[];
  readonly kills: number;
  readonly seed: number;
  readonly checkpointIntervalMs: number;
  /** Flags of the n-th process beside those of `run`: another parallelism. */
  flagsOf?(processIndex: number): readonly string[];
}

/** What a killed process left behind. */
export interface Remains {
  readonly checkpointId: number;
  readonly sourceRecords: number;
  /** Hash of every committed file, by path. */
  readonly files: ReadonlyMap<string, string>;
}

export interface KillRoundsResult {
  readonly kills: number;
  readonly summary: RunSummary;
  readonly remains: readonly Remains[];
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed for this run, or the one of `MILLRACE_TEST_SEED`; printed, so that a failure can be repeated. */
export function printedSeed(name: string): number {
  const given = process.env['MILLRACE_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  process.stdout.write(`${name}: MILLRACE_TEST_SEED=${seed}\n`);
  return seed;
}

/**
 * One job from its beginning to its end, killed at most `kills` times in between; fewer when it finished before.
 * @throws Error when a resumed process does not go on from the newest checkpoint, or a committed file has changed
 */
export async function killRounds(options: KillRoundsOptions): Promise<KillRoundsResult> {
  const random = seededRandom(options.seed);
  const remains: Remains[] = [];
  for (let process = 0; ; process++) {
    const flags = [...(options.run.flags ?? []), ...(options.flagsOf?.(process) ?? [])];
    const run = new MillraceRun({ ...options.run, flags });
    if (remains.length < options.kills) {
      await run.untilCheckpoint();
      await Promise.race([elapse(random() * options.checkpointIntervalMs), run.exited]);
      run.kill();
    }
    const code = await run.exited;
    checkUnchanged(remains);
    if (code !== null) {
      const summary = await run.finished(0);
      checkRestored(summary, remains);
      return { kills: remains.length, summary, remains };
    }
    remains.push(await remainsOf(options));
  }
}

/** A job at its place, as `killRounds` needs it. */
export type KillableJob = Pick<KillRoundsOptions, 'run' | 'jobName' | 'outputs'>;

/**
 * Jobs one after the other, each from its beginning to its end, until there were as many kills as wanted.
 * @param check looks at what a job that has finished left behind
 */
export async function killUntilEnough<Job extends KillableJob>(
  options: Pick<KillRoundsOptions, 'kills' | 'seed' | 'checkpointIntervalMs' | 'flagsOf'>,
  newJob: () => Job,
  check: (job: Job, result: KillRoundsResult) => Promise<void>,
): Promise<void> {
  for (let left = options.kills, seed = options.seed; left > 0; seed++) {
    const job = newJob();
    const { run, jobName, outputs } = job;
    const result = await killRounds({ ...options, run, jobName, outputs, kills: left, seed });
    await check(job, result);
    if (result.kills === 0) throw new Error('the job finished before its first checkpoint: give it more to do');
    left -= result.kills;
  }
}

/** What is on disk of a run that is dead. */
export async function remainsOf({
  run,
  jobName,
  outputs,
}: Pick<KillRoundsOptions, 'run' | 'jobName' | 'outputs'>): Promise<Remains> {
  const directory = join(run.stateDirectory, 'storage');
  const store = new LocalJobStore({ directory, objects: new LocalDirectoryStore(directory) });
  const pointer = await store.readPointer(jobName);
  const newest = pointer?.retained[pointer.retained.length - 1];
  if (newest === undefined) throw new Error('the run was killed before its first checkpoint');
  const { checkpointId, subtasks } = await store.readManifest(newest.manifest);
  const files = new Map<string, string>();
  for (const output of outputs) {
    for (const { name } of (await committedFiles(output)) ?? [])
      files.set(join(output, name), hashOf(join(output, name)));
  }
  return { checkpointId, sourceRecords: subtasks.reduce((sum, share) => sum + share.sourceRecords, 0), files };
}

/** A file that was committed before any of the kills is byte for byte the same. */
export function checkUnchanged(remains: readonly Remains[]): void {
  for (const { files, checkpointId } of remains) {
    for (const [path, hash] of files) {
      if (hashOf(path) !== hash)
        throw new Error(
          `${path} was committed when the run was killed after checkpoint ${checkpointId}, and has changed since`,
        );
    }
  }
}

function checkRestored(summary: RunSummary, remains: readonly Remains[]): void {
  if (summary.alreadyFinished === true) return;
  const last = remains[remains.length - 1];
  const expected = last === undefined ? null : { checkpointId: last.checkpointId, sourceRecords: last.sourceRecords };
  if (JSON.stringify(summary.restored) === JSON.stringify(expected)) return;
  throw new Error(
    `the run went on from ${JSON.stringify(summary.restored)}, but ${JSON.stringify(expected)} was the newest checkpoint`,
  );
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
