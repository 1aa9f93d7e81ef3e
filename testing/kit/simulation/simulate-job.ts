/**
 * `simulateJob`: does the job give the same results whatever happens to it? Runs it undisturbed once, then under many seeds with
 * random interleaving, delays, checkpoints, crashes, other parallelism and clocks that run ahead, and compares what the sinks
 * got. A difference is made small (fewer faults first) and traced to the operator that makes it.
 */
import { EngineError } from '../../../core/errors.ts';
import { type JobDefinition, isJobDefinition } from '../../../core/graph/job-definition.ts';
import { inspect } from 'node:util';
import type { JobInput } from '../inputs.ts';
import { scriptOf } from '../inputs.ts';
import type { JobParameters } from '../job-parts.ts';
import { type Diagnosis, diagnose, type DivergenceCause, watchedRun, type WatchedRun } from './diagnosis.ts';
import { FunctionRecord } from './watched-functions.ts';
import { type OutsideKind, watchOutside } from './outside-calls.ts';
import {
  comparisonsOf,
  type OutputDifference,
  outputDifference,
  refuseUnknown,
  type SinkComparison,
} from './output-difference.ts';
import {
  type SimulatedJob,
  type SimulatedOutcome,
  type SimulationSchedule,
  simulateRun,
  undisturbed,
} from './simulated-run.ts';

/** What may happen to the job in a simulation; all of it unless said otherwise. */
export interface SimulationFaults {
  /** Crashes a run at most, each with a restart from the newest checkpoint; default 2. */
  readonly crashes?: number;
  /** After a crash the job goes on with another number of subtasks. */
  readonly rescale?: boolean;
  /** Sources give few records at a time, and sometimes none for a while. */
  readonly delays?: boolean;
  /** Subtasks run in random order. */
  readonly interleaving?: boolean;
  /** Processing time runs ahead. */
  readonly clockJumps?: boolean;
}

/** Options of {@link simulateJob}. */
export interface SimulateJobOptions {
  /** What each source reads, by its uid or name; `checkpoint()`, `crash()` and their like have no place here. */
  readonly inputs?: Readonly<Record<string, JobInput>>;
  readonly parameters?: JobParameters;
  /** Subtasks of operators that do not set their own, in the undisturbed run; default 2. */
  readonly parallelism?: number;
  /** Runs; default 100. */
  readonly seeds?: number;
  /** The first seed; default 1. Give that of a violation, with `seeds: 1`, to see it again. */
  readonly firstSeed?: number;
  readonly faults?: SimulationFaults;
  /** How the records of sinks are compared, by uid, name or `collect` name. Default: as multisets. */
  readonly sinks?: Readonly<Record<string, SinkComparison>>;
  readonly backend?: 'memory' | 'cold';
  /** Differences looked into before the simulation ends; default 1. */
  readonly violationsMax?: number;
}

/** A run that came out differently. */
export interface SimulationViolation {
  readonly seed: number;
  /** Id of the operator at fault; null when none was found. */
  readonly operator: string | null;
  readonly cause: DivergenceCause;
  readonly explanation: string;
  /** Null when the run failed instead of giving other results. */
  readonly difference: OutputDifference | null;
  /** The smallest schedule that still differs. */
  readonly schedule: SimulationSchedule;
}

/** A call of a user function that reaches outside of the job, whether results differed or not. */
export interface OutsideCall {
  readonly operator: string;
  readonly call: string;
  readonly kind: OutsideKind;
}

/** What came of a simulation. */
export interface SimulationResult {
  /** True when no run differed. */
  readonly deterministic: boolean;
  /** Seeds tried. */
  readonly runs: number;
  /** Crashes in all of them. */
  readonly crashes: number;
  readonly violations: readonly SimulationViolation[];
  readonly outsideCalls: readonly OutsideCall[];
}

/**
 * Simulates a job. Concurrent simulations of one process share what they note of outside calls.
 * @throws EngineError what the job fails with when nothing happens to it; JOB_INVALID when the options make no sense
 */
export async function simulateJob(job: JobDefinition, options: SimulateJobOptions = {}): Promise<SimulationResult> {
  const simulated = checked(job, options);
  const unwatch = watchOutside();
  try {
    return await new Simulation(simulated, options).run();
  } finally {
    unwatch();
  }
}

const faultNames = ['crashes', 'rescale', 'delays', 'interleaving', 'clockJumps'];

function checked(definition: JobDefinition, options: SimulateJobOptions): SimulatedJob {
  if (!isJobDefinition(definition)) throw invalid('simulateJob(job, ..) needs a job: what defineJob returned');
  const { inputs = {}, parameters = {}, parallelism = 2, seeds = 100, faults = {}, backend = 'memory' } = options;
  if (!Number.isInteger(seeds) || seeds < 1) throw invalid(`simulateJob: seeds is ${seeds}; give 1 or more`);
  refuseUnknown('fault', Object.keys(faults), faultNames);
  for (const [name, input] of Object.entries(inputs)) {
    const [first] = scriptOf(name, input).controls;
    if (first !== undefined)
      throw invalid(
        `input '${name}' of simulateJob has a ${first.control.kind}: the simulation decides itself when that happens; leave it out`,
      );
  }
  return { definition, inputs, parameters, parallelism, startTimeMs: 0, backend };
}

class Simulation {
  readonly #job: SimulatedJob;
  readonly #options: SimulateJobOptions;
  readonly #outside = new Map<string, OutsideCall>();
  readonly #violations: SimulationViolation[] = [];
  #horizon = 1;
  readonly #noteOutside = (operator: string, call: string, kind: OutsideKind): void => {
    this.#outside.set(`${operator} ${call}`, { operator, call, kind });
  };
  #crashes = 0;

  constructor(job: SimulatedJob, options: SimulateJobOptions) {
    this.#job = job;
    this.#options = options;
  }

  async run(): Promise<SimulationResult> {
    const { seeds = 100, firstSeed = 1, violationsMax = 1, sinks = {} } = this.#options;
    const calm = await watchedRun(this.#job, undisturbed, 1, new FunctionRecord(), this.#noteOutside);
    const expected = calm.outcome;
    if (expected.failure !== null) throw expected.failure as Error;
    comparisonsOf(expected.planned, sinks);
    const calibration = { ...this.#schedule(firstSeed), crashes: 0 };
    this.#horizon = Math.max(1, (await this.#simulate(calibration)).turns);
    let runs = 0;
    while (runs < seeds && this.#violations.length < violationsMax) {
      const schedule = this.#schedule(firstSeed + runs++);
      const outcome = await this.#simulate(schedule);
      this.#crashes += outcome.crashes;
      if (this.#differs(expected, outcome)) this.#violations.push(await this.#lookInto(calm, schedule, outcome));
    }
    const violations = this.#violations;
    const outsideCalls = [...this.#outside.values()];
    return { deterministic: violations.length === 0, runs, crashes: this.#crashes, violations, outsideCalls };
  }

  #schedule(seed: number): SimulationSchedule {
    const {
      crashes = 2,
      rescale = true,
      delays = true,
      interleaving = true,
      clockJumps = true,
    } = this.#options.faults ?? {};
    return { seed, crashes, rescale, delays, interleaving, clockJumps };
  }

  #simulate(schedule: SimulationSchedule): Promise<SimulatedOutcome> {
    return simulateRun(this.#job, schedule, this.#horizon, {
      record: null,
      onOutside: this.#noteOutside,
    });
  }

  #difference(expected: SimulatedOutcome, outcome: SimulatedOutcome): OutputDifference | null {
    const comparisons = comparisonsOf(expected.planned, this.#options.sinks ?? {});
    return outputDifference(expected.planned, expected.outputs, outcome.outputs, comparisons);
  }

  #differs(expected: SimulatedOutcome, outcome: SimulatedOutcome): boolean {
    return outcome.failure !== null || this.#difference(expected, outcome) !== null;
  }

  async #lookInto(
    calm: WatchedRun,
    schedule: SimulationSchedule,
    outcome: SimulatedOutcome,
  ): Promise<SimulationViolation> {
    const expected = calm.outcome;
    const shrunk = await this.#shrink(expected, schedule, outcome);
    const difference = shrunk.outcome.failure === null ? this.#difference(expected, shrunk.outcome) : null;
    const sink = difference?.sink ?? null;
    const found: Diagnosis = await diagnose(this.#job, calm, shrunk.schedule, this.#horizon, sink);
    return { seed: schedule.seed, ...found, difference, schedule: shrunk.schedule };
  }

  /** Takes one fault after the other out of the schedule, as long as the run still differs. */
  async #shrink(expected: SimulatedOutcome, first: SimulationSchedule, firstOutcome: SimulatedOutcome) {
    let schedule = first;
    let outcome = firstOutcome;
    const smaller: readonly ((schedule: SimulationSchedule) => SimulationSchedule)[] = [
      (from) => ({ ...from, crashes: 0, rescale: false }),
      (from) => ({ ...from, crashes: Math.min(from.crashes, 1) }),
      (from) => ({ ...from, rescale: false }),
      (from) => ({ ...from, clockJumps: false }),
      (from) => ({ ...from, delays: false }),
      (from) => ({ ...from, interleaving: false }),
    ];
    for (const step of smaller) {
      const candidate = step(schedule);
      if (JSON.stringify(candidate) === JSON.stringify(schedule)) continue;
      const attempt = await this.#simulate(candidate);
      if (!this.#differs(expected, attempt)) continue;
      schedule = candidate;
      outcome = attempt;
    }
    return { schedule, outcome };
  }
}

/** The result of a simulation as text, for the message of a failed test. */
export function formatSimulation(result: SimulationResult): string {
  const { deterministic, runs, crashes, violations, outsideCalls } = result;
  const lines = [
    deterministic
      ? `same results in ${runs} runs with ${crashes} crashes`
      : `results can differ: ${violations.length} of ${runs} runs did`,
  ];
  for (const violation of violations) lines.push('', ...violationLines(violation));
  if (outsideCalls.length > 0) lines.push('', 'calls outside of the job:');
  for (const { operator, call } of outsideCalls) lines.push(`  ${operator}: ${call}`);
  return lines.join('\n');
}

function violationLines({ seed, operator, cause, explanation, difference, schedule }: SimulationViolation): string[] {
  const faults = faultNames.filter((name) => Boolean(schedule[name as keyof SimulationSchedule]));
  const lines = [
    `seed ${seed}: ${cause}${operator === null ? '' : ` in operator '${operator}'`}`,
    `  ${explanation}`,
    `  with ${faults.length === 0 ? 'no faults at all' : faults.map((name) => (name === 'crashes' ? `crashes: ${schedule.crashes}` : name)).join(', ')}`,
  ];
  if (difference === null) return lines;
  const { sink, guarantee, missing, unexpected, missingCount, unexpectedCount, reordered } = difference;
  lines.push(`  sink '${sink}' (${guarantee})${reordered ? ': same records, other order within a key' : ''}`);
  if (missingCount > 0) lines.push(`    missing ${missingCount}: ${missing.map(shown).join(', ')}`);
  if (unexpectedCount > 0) lines.push(`    instead ${unexpectedCount}: ${unexpected.map(shown).join(', ')}`);
  return lines;
}

const shown = (value: unknown): string => inspect(value, { breakLength: Number.POSITIVE_INFINITY, depth: 4 });

/** For tests: throws what {@link formatSimulation} says when results can differ. */
export function assertDeterministic(result: SimulationResult): void {
  if (!result.deterministic) throw new EngineError('JOB_NOT_DETERMINISTIC', formatSimulation(result));
}

function invalid(message: string): EngineError {
  return new EngineError('JOB_INVALID', message);
}
