/** One run of a job in a mini cluster: what a test does to it, and waits for. */
import type { EmbeddedEngine, EmbeddedJob } from '../../../cli/embedded/embedded-engine.ts';
import type { RunOutcome, RunProgress as ClusterProgress } from '../../../cli/embedded/run-types.ts';
import { EngineError } from '../../../core/errors.ts';
import type { Deliveries } from './deliveries.ts';

export type { ClusterProgress };

/** How a run ended. */
export interface ClusterResult {
  /** `stopped`: may be resumed. */
  readonly state: 'finished' | 'stopped' | 'canceled';
  /** What each `collect(name)` got, by name, in this run and those it went on from; a table as its current rows. */
  readonly collected: Readonly<Record<string, readonly unknown[]>>;
  readonly progress: ClusterProgress;
}

/** How often a condition is looked at between changes of state, in ms. */
const lookIntervalMs = 20;
const untilTimeoutMsDefault = 30_000;

interface Watcher {
  /** Looks at its condition; true when it is done with. */
  look(): boolean;
}

/** A job that runs in a mini cluster; made by `cluster.run`. */
export class ClusterExecution {
  /** How it ended. @throws EngineError what the job failed with; CANCELED when the cluster was closed */
  readonly finished: Promise<ClusterResult>;
  /** Resolves when every subtask runs for the first time, or the job has ended. @internal */
  readonly started: Promise<void>;
  readonly #engine: EmbeddedEngine;
  readonly #jobName: string;
  readonly #deliveries: Deliveries;
  readonly #stop = new AbortController();
  readonly #watchers = new Set<Watcher>();
  #last: ClusterProgress | null = null;
  #closing: Promise<void> | null = null;
  #ended = false;
  #abandon: (error: EngineError) => void = () => {};

  /** Made by the cluster. @internal */
  constructor(engine: EmbeddedEngine, job: EmbeddedJob, deliveries: Deliveries) {
    this.#engine = engine;
    this.#jobName = job.graph.name;
    this.#deliveries = deliveries;
    const closed = new Promise<never>((_, reject) => {
      this.#abandon = reject;
    });
    // Nobody waits for it when the job could not be registered.
    closed.catch(() => {});
    this.finished = this.#run(job, closed);
    // Whoever waits for it sees the failure; a test that only looks at progress must not end the process by it.
    this.finished.catch(() => {});
    this.started = this.#whenStarted();
    // Told by `cluster.run`, unless the test does not wait for it.
    this.started.catch(() => {});
  }

  /** True when the job has ended, however. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Slots in which subtasks run now, from 0. */
  get slots(): readonly number[] {
    return this.#engine.liveSlots;
  }

  /** What each `collect(name)` got so far. */
  get collected(): Readonly<Record<string, readonly unknown[]>> {
    return this.#deliveries.collected;
  }

  /** How far the job is; after its end, how far it came. Records and counters follow a quarter of a second behind. */
  progress(): ClusterProgress {
    const progress = this.#last ?? this.#engine.progress;
    if (progress !== null) return progress;
    throw new EngineError('USAGE', `job '${this.#jobName}' was never started: await finished for the reason`);
  }

  /**
   * Takes a checkpoint, besides the periodic ones.
   * @returns its id; it was triggered after this call and is complete
   * @throws EngineError CHECKPOINT_FAILED when it was given up, for example because a slot died; USAGE when the job has ended
   */
  checkpoint(): Promise<number> {
    return this.#engine.checkpoint();
  }

  /**
   * Ends the thread of a slot at once, as a crash would. The job restarts from its newest checkpoint.
   * @throws EngineError USAGE when nothing runs in such a slot now
   */
  killSlot(slotIndex: number): void {
    if (!this.#ended && this.#engine.killSlot(slotIndex)) return;
    const { slots } = this;
    const has = slots.length === 0 ? 'nothing runs in any slot now' : `slots in use: ${slots.join(', ')}`;
    throw new EngineError('USAGE', `killSlot(${slotIndex}): ${has}`, { ids: { slot: slotIndex } });
  }

  /** Takes a last checkpoint and ends; `run` with `resume: true` goes on from there. */
  stop(): Promise<ClusterResult> {
    this.#stop.abort();
    return this.finished;
  }

  /**
   * Resolves when the condition holds.
   * @param condition looked at again and again; pure
   * @throws EngineError what the job failed with; USAGE when it ended, or the time is over, before the condition held
   */
  until(
    condition: (progress: ClusterProgress) => boolean,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const { timeoutMs = untilTimeoutMsDefault } = options;
    const place = new EngineError('USAGE', '');
    const refused = (why: string): EngineError => {
      place.message = `until(${condition.toString()}) of job '${this.#jobName}': ${why}`;
      return place;
    };
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): true => {
        clearTimeout(deadline);
        clearInterval(interval);
        this.#watchers.delete(watcher);
        settle();
        return true;
      };
      const look = (): boolean => {
        try {
          const progress = this.#last ?? this.#engine.progress;
          if (progress !== null && condition(progress)) return done(resolve);
        } catch (error) {
          return done(() => reject(error as Error));
        }
        if (!this.#ended) return false;
        const ended = refused('the job ended before it held');
        return done(() => void this.finished.then(() => reject(ended), reject));
      };
      const deadline = setTimeout(
        () => done(() => reject(refused(`it did not hold within ${timeoutMs} ms`))),
        timeoutMs,
      );
      const interval = setInterval(look, lookIntervalMs);
      const watcher: Watcher = { look };
      this.#watchers.add(watcher);
      look();
    });
  }

  /** Told by the cluster: the state may have changed. @internal */
  changed(): void {
    // Later: the notice comes in the middle of the step that changes it.
    queueMicrotask(() => {
      for (const watcher of [...this.#watchers]) watcher.look();
    });
  }

  /** Ends the job as a crash would, and its threads. @internal */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#last ??= this.#engine.progress;
    this.#abandon(new EngineError('CANCELED', `the mini cluster was closed while job '${this.#jobName}' ran`));
    this.#ended = true;
    this.changed();
    this.#engine.cancel();
    await this.#engine.stop();
  }

  async #run(job: EmbeddedJob, closed: Promise<never>): Promise<ClusterResult> {
    try {
      await this.#engine.register();
      const outcome = await Promise.race([this.#engine.run(job, this.#stop.signal), closed]);
      return this.#result(outcome);
    } finally {
      this.#last ??= this.#engine.progress;
      this.#ended = true;
      this.changed();
      // A failure to end threads would hide how the job ended; the next run waits for the same promise and sees it.
      this.close().catch(() => {});
    }
  }

  #result({ state, error, progress }: RunOutcome): ClusterResult {
    this.#last = progress;
    if (error !== null) throw error;
    if (state === 'failed') throw new EngineError('INTERNAL', `job '${this.#jobName}' failed without saying why`);
    return { state, collected: this.collected, progress };
  }

  async #whenStarted(): Promise<void> {
    const runs = this.until(({ state }) => state === 'running' || state === 'finished' || state === 'stopped', {
      timeoutMs: startTimeoutMs,
    });
    // A job that is over so soon is no failure to start; one that failed says why.
    await Promise.race([runs, this.finished.then(() => {})]);
  }
}

/** Deployment has a shorter deadline of its own. */
const startTimeoutMs = 300_000;
