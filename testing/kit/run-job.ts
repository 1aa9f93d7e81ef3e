/**
 * `runJob`: a whole job in the test's own thread, in milliseconds. Sources play what the test says, sinks are captured, time is
 * virtual; everything between is the engine that runs in a slot. Runs are repeatable: the order in which subtasks run is fixed.
 */
import { inspect } from 'node:util';
import { EngineError, isEngineError } from '../../core/errors.ts';
import { type JobDefinition, isJobDefinition, type PlannedJob } from '../../core/graph/job-definition.ts';
import type { OperatorMetrics } from '../../runtime/operators/operator.ts';
import { CapturedOutputs, type CapturedRecord } from './capture-sink.ts';
import type { JobInput } from './inputs.ts';
import {
  findNamed,
  type JobParameters,
  planForTest,
  type Players,
  playersOf,
  sinksOfJob,
  withTestEnds,
} from './job-parts.ts';
import { driveUntil, settle } from './drive.ts';
import { wholePortions } from './script-source.ts';
import { VirtualAttempt, type VirtualCheckpoint } from './virtual-attempt.ts';
import { VirtualScheduler } from './virtual-scheduler.ts';

/** Options of {@link runJob}. */
export interface RunJobOptions {
  /** What each source reads, by its uid or name. A `collection` source needs none. */
  readonly inputs?: Readonly<Record<string, JobInput>>;
  readonly parameters?: JobParameters;
  /** Subtasks of operators that do not set their own; default that of the job. */
  readonly parallelism?: number;
  /** Processing time at the beginning, in ms since the epoch; default 0. */
  readonly startTimeMs?: number;
  /** Where keyed state is kept; `cold` keeps as little as possible in memory. Default `memory`. */
  readonly backend?: 'memory' | 'cold';
  /** Fails when a function changes a record it was given or has emitted. Default true. */
  readonly checkImmutability?: boolean;
}

/** What a job did in a test. */
export interface JobTestResult {
  /** The records a sink got, by its uid, name or `collect` name, in the order they came. */
  outputs<T>(sink: string): T[];
  /** The same with event times and row kinds. */
  records<T>(sink: string): CapturedRecord<T>[];
  /** What each `collect(name)` got, by name. */
  readonly collected: Readonly<Record<string, readonly unknown[]>>;
  /** Counters by operator id: those of `context.count`, and the engine's (`skipped`, `badTimestamps`). */
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Late records by operator id; only operators that had any. */
  readonly lateRecords: Readonly<Record<string, number>>;
  /** Attempts after the first. */
  readonly restarts: number;
  /** What the author should look at, as `millrace plan` says it. */
  readonly warnings: readonly string[];
}

/**
 * Runs a job to its end.
 * @throws EngineError what the job failed with, naming operator and record; JOB_INVALID when an input fits no source
 */
export async function runJob(job: JobDefinition, options: RunJobOptions = {}): Promise<JobTestResult> {
  if (!isJobDefinition(job))
    throw new EngineError(
      'JOB_INVALID',
      'runJob(job, ..) needs a job: what defineJob returned, the default export of a job file',
    );
  return new JobRun(job, options).run();
}

class JobRun {
  readonly #options: RunJobOptions;
  readonly #definition: JobDefinition;
  readonly #captured = new CapturedOutputs();
  readonly #players: Players;
  readonly #metrics = new Map<string, Map<number, OperatorMetrics>>();
  readonly #newestRecord = new Map<string, unknown>();
  #planned: PlannedJob;
  #scheduler: VirtualScheduler;
  #attempt: VirtualAttempt | null = null;
  #attempts = 0;

  constructor(definition: JobDefinition, options: RunJobOptions) {
    this.#definition = definition;
    this.#options = options;
    this.#planned = planForTest(definition, options);
    this.#players = playersOf(this.#planned, options.inputs ?? {}, true);
    this.#scheduler = new VirtualScheduler(options.startTimeMs ?? 0);
  }

  async run(): Promise<JobTestResult> {
    try {
      let attempt = await this.#start(null, 1);
      const stretches = Math.max(1, ...[...this.#players.values()].map(({ script }) => script.controls.length + 1));
      for (let stretch = 0; stretch < stretches; stretch++) attempt = await this.#play(attempt, stretch);
      await driveUntil(attempt, this.#scheduler, () => attempt.allEnded);
      await this.#checkpoint(attempt);
      await driveUntil(attempt, this.#scheduler, () => attempt.allFinished);
    } catch (error) {
      throw this.#withRecord(error);
    } finally {
      await this.#attempt?.close();
    }
    return this.#result();
  }

  /** One stretch of every input, one after the other, then what stands behind them. */
  async #play(running: VirtualAttempt, stretch: number): Promise<VirtualAttempt> {
    let attempt = running;
    for (const player of this.#players.values()) {
      player.release(stretch);
      await settle(attempt, this.#scheduler);
    }
    for (const { script } of this.#players.values()) {
      const control = script.controls[stretch]?.control;
      if (control?.kind === 'advance-time') await this.#advance(attempt, this.#scheduler.nowMs + control.ms);
      else if (control?.kind === 'checkpoint') await this.#checkpoint(attempt);
      else if (control?.kind === 'crash') attempt = await this.#restart(attempt);
    }
    return attempt;
  }

  /** Whoever waits for a time gets it exactly: timers fire in order, each at its own time. */
  async #advance(attempt: VirtualAttempt, untilMs: number): Promise<void> {
    for (let next = this.#scheduler.nextWakeMs; next <= untilMs; next = this.#scheduler.nextWakeMs) {
      this.#scheduler.advanceTo(next);
      await settle(attempt, this.#scheduler);
    }
    this.#scheduler.advanceTo(untilMs);
    await settle(attempt, this.#scheduler);
  }

  async #checkpoint(attempt: VirtualAttempt): Promise<void> {
    if (!attempt.allRunning)
      throw new EngineError(
        'JOB_INVALID',
        'checkpoint() stands before the end of a side input, and no checkpoint starts before that is read: put it after, or give the side input first',
      );
    if (attempt.allFinished) return;
    attempt.trigger();
    await driveUntil(attempt, this.#scheduler, () => attempt.checkpointAcknowledged);
    attempt.complete();
    await settle(attempt, this.#scheduler);
  }

  async #restart(attempt: VirtualAttempt): Promise<VirtualAttempt> {
    await attempt.close();
    this.#scheduler = new VirtualScheduler(this.#scheduler.nowMs);
    // As a slot does: nothing of the earlier attempt's functions is left.
    this.#planned = planForTest(this.#definition, this.#options);
    const restarted = await this.#start(attempt.newest, attempt.nextCheckpointId);
    await settle(restarted, this.#scheduler);
    return restarted;
  }

  async #start(restore: VirtualCheckpoint | null, nextCheckpointId: number): Promise<VirtualAttempt> {
    const { backend = 'memory', checkImmutability = true } = this.#options;
    const attempt = new VirtualAttempt({
      job: withTestEnds(this.#planned, this.#players, this.#captured, wholePortions),
      attempt: ++this.#attempts,
      restore,
      nextCheckpointId,
      scheduler: this.#scheduler,
      backend,
      checkImmutability,
      onOperator: ({ operatorId, operator, metrics }, { subtaskIndex }) => {
        const known = this.#metrics.get(operatorId) ?? new Map<number, OperatorMetrics>();
        this.#metrics.set(operatorId, known.set(subtaskIndex, metrics));
        const emit = operator.emit.bind(operator);
        operator.emit = (value) => {
          this.#newestRecord.set(operatorId, value);
          emit(value);
        };
      },
      onDelivery: (sink, id, records) => this.#captured.deliver(sink, id, records),
    });
    this.#attempt = attempt;
    await attempt.start();
    await settle(attempt, this.#scheduler);
    return attempt;
  }

  /** The error names the operator; the record it was given last is what a test needs beside that. */
  #withRecord(error: unknown): unknown {
    if (!isEngineError(error)) return error;
    const { operator } = error.ids;
    if (typeof operator !== 'string' || !this.#newestRecord.has(operator)) return error;
    const record = inspect(this.#newestRecord.get(operator), { depth: 4, maxArrayLength: 20, maxStringLength: 500 });
    const { code, domain, retry, ids } = error;
    return new EngineError(code, `${error.message}\n  newest record of '${operator}': ${record}`, {
      domain,
      retry,
      ids,
      cause: error,
    });
  }

  #result(): JobTestResult {
    const sinks = sinksOfJob(this.#planned);
    const records = <T>(name: string): CapturedRecord<T>[] => [
      ...(this.#captured.of(findNamed(sinks, name, 'sink').id) as CapturedRecord<T>[]),
    ];
    const counters: Record<string, Record<string, number>> = {};
    const lateRecords: Record<string, number> = {};
    for (const [operatorId, subtasks] of this.#metrics) {
      const own: Record<string, number> = {};
      let late = 0;
      for (const metrics of subtasks.values()) {
        late += metrics.lateRecords;
        for (const [name, value] of metrics.counters) own[name] = (own[name] ?? 0) + value;
      }
      if (Object.keys(own).length > 0) counters[operatorId] = own;
      if (late > 0) lateRecords[operatorId] = late;
    }
    const collects = sinks.filter(({ node }) => node.config['sink'] === 'collect');
    return {
      records,
      outputs: <T>(name: string) => records<T>(name).map(({ value }) => value),
      collected: Object.fromEntries(
        collects.map(({ node, names }) => [names[2] ?? node.id, this.#captured.of(node.id).map(({ value }) => value)]),
      ),
      counters,
      lateRecords,
      restarts: this.#attempts - 1,
      warnings: this.#planned.warnings,
    };
  }
}
