/**
 * One run of a job under a schedule: a seed decides which subtask runs next, how many records a source gives at a time, when a
 * checkpoint starts and completes, when the job crashes and with how many subtasks it goes on. The same schedule gives the same run.
 */
import { EngineError } from '../../../core/errors.ts';
import type { JobDefinition, PlannedJob } from '../../../core/graph/job-definition.ts';
import { CapturedOutputs } from '../capture-sink.ts';
import type { JobInput } from '../inputs.ts';
import { type JobParameters, planForTest, playersOf, withTestEnds } from '../job-parts.ts';
import type { Portions } from '../script-source.ts';
import { VirtualAttempt } from '../virtual-attempt.ts';
import { VirtualScheduler } from '../virtual-scheduler.ts';
import { SeededRandom } from './seeded-random.ts';
import { type FunctionWatch, textOf, watchedFunctions } from './watched-functions.ts';

/** Everything that decides a run. */
export interface SimulationSchedule {
  readonly seed: number;
  /** Crashes at most; each at a step of its own. */
  readonly crashes: number;
  /** Subtasks of the job after a crash are drawn anew. */
  readonly rescale: boolean;
  /** Sources give few records at a time, and sometimes none for a while. */
  readonly delays: boolean;
  /** Subtasks run in random order, otherwise in turns. */
  readonly interleaving: boolean;
  /** Processing time runs ahead at random. */
  readonly clockJumps: boolean;
}

/** What is simulated. */
export interface SimulatedJob {
  readonly definition: JobDefinition;
  readonly inputs: Readonly<Record<string, JobInput>>;
  readonly parameters: JobParameters;
  readonly parallelism: number;
  readonly startTimeMs: number;
  readonly backend: 'memory' | 'cold';
}

/** Who looks on. */
export interface RunWatch extends Omit<FunctionWatch, 'clockMs'> {
  onInput?(operatorId: string, value: string): void;
}

/** What came of a run. */
export interface SimulatedOutcome {
  readonly outputs: CapturedOutputs;
  /** What the job failed with; null when it came to its end. */
  readonly failure: unknown;
  readonly crashes: number;
  /** Turns of the schedule, the measure for when a crash comes. */
  readonly turns: number;
  readonly planned: PlannedJob;
}

/** Nothing happens to the job. */
export const undisturbed: SimulationSchedule = {
  seed: 0,
  crashes: 0,
  rescale: false,
  delays: false,
  interleaving: false,
  clockJumps: false,
};

const subtasksMax = 3;
const portionMax = 7;
const stuckTurns = 20_000;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nextMillisecond = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** @param horizonTurns about as many turns as the job takes: crashes come within them */
export async function simulateRun(
  job: SimulatedJob,
  schedule: SimulationSchedule,
  horizonTurns: number,
  watch: RunWatch,
): Promise<SimulatedOutcome> {
  const run = new SimulatedRun(job, schedule, horizonTurns, watch);
  return run.run();
}

class SimulatedRun {
  readonly #job: SimulatedJob;
  readonly #schedule: SimulationSchedule;
  readonly #watch: RunWatch;
  readonly #random: SeededRandom;
  readonly #horizonTurns: number;
  readonly #outputs = new CapturedOutputs();
  readonly #players;
  readonly #clockSkewMs: number;
  #scheduler: VirtualScheduler;
  #planned: PlannedJob;
  #parallelism: number;
  /** Sources that said that nothing was at hand. */
  #withheld: (() => void)[] = [];
  #clockReads = 0;
  /** The attempt whose last checkpoint was triggered. */
  #finalFor: VirtualAttempt | null = null;
  #crashes = 0;
  #turns = 0;
  #crashAtTurn: number;

  constructor(job: SimulatedJob, schedule: SimulationSchedule, horizonTurns: number, watch: RunWatch) {
    this.#job = job;
    this.#schedule = schedule;
    this.#watch = watch;
    this.#horizonTurns = horizonTurns;
    this.#random = new SeededRandom(schedule.seed);
    this.#parallelism = job.parallelism;
    this.#planned = this.#plan();
    this.#players = playersOf(this.#planned, job.inputs, false);
    this.#clockSkewMs = schedule.seed === 0 ? 0 : this.#random.below(100_000_000);
    this.#scheduler = this.#newScheduler(job.startTimeMs);
    this.#crashAtTurn = this.#nextCrash();
  }

  async run(): Promise<SimulatedOutcome> {
    let attempt = await this.#start(null);
    let failure: unknown = null;
    try {
      for (let quiet = 0; !attempt.allFinished; ) {
        if (attempt.failure !== null) throw attempt.failure.error;
        if (++this.#turns >= this.#crashAtTurn) {
          attempt = await this.#crash(attempt);
          continue;
        }
        quiet = this.#turn(attempt) ? 0 : quiet + 1;
        if (quiet > 0 || this.#turns % 16 === 0) await (quiet <= 50 ? nextTurn() : nextMillisecond());
        if (quiet > 60 && this.#scheduler.nextWakeMs < Number.POSITIVE_INFINITY)
          this.#scheduler.advanceTo(this.#scheduler.nextWakeMs);
        if (quiet > stuckTurns)
          throw new EngineError(
            'INTERNAL',
            `the simulation of job '${attempt.options.job.graph.name}' does not go on: let the functions of a test answer`,
          );
      }
    } catch (error) {
      failure = error ?? new Error('failed with nothing');
    } finally {
      await attempt.close();
    }
    return { outputs: this.#outputs, failure, crashes: this.#crashes, turns: this.#turns, planned: this.#planned };
  }

  /** One thing; false when there was nothing to do. */
  #turn(attempt: VirtualAttempt): boolean {
    const random = this.#random;
    const { seed, clockJumps } = this.#schedule;
    const isCalm = seed === 0;
    if (attempt.checkpointAcknowledged && (isCalm || random.chance(0.2))) {
      attempt.complete();
      return true;
    }
    // One checkpoint after the end lets every subtask finish; others may follow it as they would anywhere.
    const isFinal = attempt.allEnded && this.#finalFor !== attempt;
    const triggers = isFinal || (!isCalm && random.chance(0.05));
    if (triggers && attempt.allRunning && !attempt.checkpointPending) {
      if (attempt.allEnded) this.#finalFor = attempt;
      attempt.trigger();
      return true;
    }
    if (clockJumps && random.chance(0.02)) {
      const nextMs = this.#scheduler.nextWakeMs;
      const goTo =
        nextMs < Number.POSITIVE_INFINITY && random.chance(0.5) ? nextMs : this.#scheduler.nowMs + random.below(1000);
      this.#scheduler.advanceTo(goTo);
    }
    if (this.#withheld.length > 0 && random.chance(0.3)) this.#resumeOne();
    if ((isCalm || random.chance(0.3)) && this.#scheduler.encode()) return true;
    if (this.#scheduler.step() || this.#scheduler.encode()) return true;
    if (this.#withheld.length === 0) return attempt.checkpointAcknowledged;
    this.#resumeOne();
    return true;
  }

  #resumeOne(): void {
    const [resume] = this.#withheld.splice(this.#random.below(this.#withheld.length), 1);
    resume?.();
  }

  async #crash(attempt: VirtualAttempt): Promise<VirtualAttempt> {
    this.#crashes++;
    this.#crashAtTurn = this.#nextCrash();
    await attempt.close();
    if (this.#schedule.rescale) this.#parallelism = 1 + this.#random.below(subtasksMax);
    this.#planned = this.#plan();
    this.#withheld = [];
    this.#scheduler = this.#newScheduler(this.#scheduler.nowMs);
    return this.#start(attempt);
  }

  #nextCrash(): number {
    if (this.#crashes >= this.#schedule.crashes) return Number.POSITIVE_INFINITY;
    return this.#turns + 1 + this.#random.below(this.#horizonTurns);
  }

  async #start(before: VirtualAttempt | null): Promise<VirtualAttempt> {
    const watch: FunctionWatch = {
      record: this.#watch.record,
      onOutside: (...parameters) => this.#watch.onOutside(...parameters),
      clockMs: () => this.#scheduler.nowMs + this.#clockSkewMs + this.#clockReads++,
    };
    const ends = withTestEnds(this.#planned, this.#players, this.#outputs, this.#portions());
    const functions = new Map([...ends.functions].map(([id, own]) => [id, watchedFunctions(id, own, watch)]));
    const { onInput } = this.#watch;
    const attempt = new VirtualAttempt({
      job: { ...ends, functions },
      attempt: this.#crashes + 1,
      restore: before?.newest ?? null,
      nextCheckpointId: before?.nextCheckpointId ?? 1,
      scheduler: this.#scheduler,
      backend: this.#job.backend,
      checkImmutability: true,
      ...(onInput === undefined
        ? {}
        : { onOperator: ({ operator, operatorId }) => watchInputs(operator, operatorId, onInput) }),
      onDelivery: (sink, id, records) => this.#outputs.deliver(sink, id, records),
    });
    await attempt.start();
    return attempt;
  }

  #portions(): Portions {
    const random = this.#random;
    if (!this.#schedule.delays)
      return { size: () => Number.POSITIVE_INFINITY, withhold: () => false, later: (resume) => resume() };
    return {
      size: () => 1 + random.below(portionMax),
      withhold: () => random.chance(0.4),
      later: (resume) => void this.#withheld.push(resume),
    };
  }

  #newScheduler(nowMs: number): VirtualScheduler {
    return new VirtualScheduler(nowMs, this.#schedule.interleaving ? (count) => this.#random.below(count) : () => 0);
  }

  #plan(): PlannedJob {
    const { definition, parameters } = this.#job;
    return planForTest(definition, { parameters, parallelism: this.#parallelism });
  }
}

interface Inputs {
  emit(value: unknown): void;
  emitSecond?(value: unknown): void;
}

/** Own properties in front of the methods: every record on its way in is told. */
function watchInputs(operator: Inputs, operatorId: string, onInput: (operatorId: string, value: string) => void): void {
  for (const name of ['emit', 'emitSecond'] as const) {
    const method = operator[name];
    if (method === undefined) continue;
    operator[name] = (value: unknown) => {
      onInput(operatorId, `${name === 'emit' ? '' : 'second input: '}${textOf(value)}`);
      method.call(operator, value);
    };
  }
}
