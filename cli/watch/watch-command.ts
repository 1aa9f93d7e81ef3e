/**
 * `millrace run --watch`: runs a job, and runs it again when its files change, with its state. The running job goes on
 * until the changed one could be planned and can take its state over; then it is stopped with a last checkpoint. A job
 * that has finished begins again from the beginning; one that has failed goes on from its last checkpoint.
 */
import { isEngineError } from '../../core/errors.ts';
import { compareState } from '../../core/graph/state-compatibility.ts';
import type { PreparedJob } from '../job/prepare-job.ts';
import { errorText } from '../output/error-text.ts';
import {
  prepareForRun,
  type RunCommandContext,
  type RunCommandOptions,
  type RunResult,
  runPrepared,
  withStateDirectory,
} from '../run/run-command.ts';
import { refusedText } from '../run/state-directory-rules.ts';
import { listenForStop } from '../run/stop-signals.ts';
import { JobWatcher } from './job-watcher.ts';

export interface WatchContext extends RunCommandContext {
  /** Where the engine's own files are; its frames are left out of stacks. */
  readonly engineDirectory: string;
}

/**
 * Runs until it is stopped by Ctrl-C.
 * @throws EngineError what is wrong with the job file at the start, or with the state directory
 */
export async function watchCommand(options: RunCommandOptions, context: WatchContext): Promise<RunResult> {
  const watcher = new JobWatcher();
  try {
    return await withStateDirectory(options, context, (directory) =>
      new WatchedJob(directory, options, context, watcher).run(),
    );
  } finally {
    watcher.close();
  }
}

class WatchedJob {
  readonly #directory: string;
  readonly #options: RunCommandOptions;
  readonly #context: WatchContext;
  readonly #watcher: JobWatcher;

  constructor(directory: string, options: RunCommandOptions, context: WatchContext, watcher: JobWatcher) {
    this.#directory = directory;
    this.#options = options;
    this.#context = context;
    this.#watcher = watcher;
  }

  async run(): Promise<RunResult> {
    let job = await prepareForRun(this.#options, this.#context);
    this.#warn(job);
    this.#watcher.watch(job.jobFiles);
    let fresh = this.#options.fresh;
    for (;;) {
      const { result, next } = await this.#runUntilChange(job, fresh);
      if (result?.interrupted === true) return result;
      const ended = result?.outcome === null || result?.outcome.state === 'finished';
      const following = next ?? (await this.#whileIdle(job, ended));
      if (following === null) return result ?? { outcome: null, interrupted: true };
      job = following;
      // The state of a finished job has nothing to go on with.
      fresh = ended && (this.#options.fresh || this.#options.stateDirectory === null);
    }
  }

  /** Runs the job until it ends, or until a changed one is ready to take over. */
  async #runUntilChange(
    job: PreparedJob,
    fresh: boolean,
  ): Promise<{ result: RunResult | null; next: PreparedJob | null }> {
    const { terminal } = this.#context;
    const ended = new AbortController();
    const restart = new AbortController();
    const successor = this.#successorOf(job, ended.signal, true).then((next) => {
      if (next !== null) {
        terminal.note('the job has changed: stopping with a checkpoint and going on with it as it is now');
        restart.abort();
      }
      return next;
    });
    try {
      const options = { ...this.#options, fresh, upgrade: true };
      const prepared = { job, directory: this.#directory, stop: restart.signal };
      const result = await runPrepared(prepared, options, this.#context);
      if (result.outcome?.error) this.#say(result.outcome.error);
      return { result, next: await ending(ended, successor) };
    } catch (error) {
      this.#say(error);
      return { result: null, next: await ending(ended, successor) };
    }
  }

  /** Nothing runs: waits for a change. Null when a person ends the wait. */
  async #whileIdle(job: PreparedJob, ended: boolean): Promise<PreparedJob | null> {
    const { terminal } = this.#context;
    const signals = listenForStop(
      () => undefined,
      () => undefined,
    );
    try {
      // Not before the signals are listened to: who reads this may press Ctrl-C at once.
      terminal.note(`waiting for a change of ${this.#options.jobFile}; Ctrl-C ends`);
      return await this.#successorOf(job, signals.stop, !ended);
    } finally {
      signals.dispose();
    }
  }

  /**
   * The next version of the job that can be run; null once the signal is aborted. What is wrong with a version is said, and
   * the wait goes on.
   * @param keepsState the version must be able to take over the state of `job`
   */
  async #successorOf(job: PreparedJob, signal: AbortSignal, keepsState: boolean): Promise<PreparedJob | null> {
    while ((await this.#watcher.next(signal)) !== null) {
      try {
        const next = await prepareForRun(this.#options, this.#context);
        this.#watcher.watch(next.jobFiles);
        if (next.artifact.sha256 === job.artifact.sha256 && keepsState) continue;
        this.#warn(next);
        const refused = compareState(job.graph, next.graph).filter(({ verdict }) => verdict === 'refused');
        if (!keepsState || refused.length === 0) return next;
        this.#refuse(refused.map(refusedText));
      } catch (error) {
        this.#say(error);
      }
    }
    return null;
  }

  #refuse(reasons: readonly string[]): void {
    const { terminal } = this.#context;
    terminal.error('the changed job cannot take over the state of the running one, which goes on:');
    for (const reason of reasons) terminal.error(`  - ${reason}`);
  }

  #warn(job: PreparedJob): void {
    for (const warning of job.warnings) this.#context.terminal.note(`warning: ${warning}`);
  }

  #say(error: unknown): void {
    if (!isEngineError(error)) throw error;
    const { terminal, engineDirectory, workingDirectory } = this.#context;
    terminal.error(errorText(error, { engineDirectory, workingDirectory }));
  }
}

/** The run is over: the watch for its successor ends, unless it has found one. */
async function ending(ended: AbortController, successor: Promise<PreparedJob | null>): Promise<PreparedJob | null> {
  ended.abort();
  return await successor;
}
