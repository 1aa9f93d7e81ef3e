/** Options of a job as its author writes them, and how they become the options of the graph. */
import { EngineError } from '../../core/errors.ts';
import type { JobOptions, RestartStrategyOptions } from '../../core/graph/job-graph.ts';
import { jobOptionsDefault } from '../../core/graph/job-options.ts';
import { maxParallelismLimit } from '../../core/key-groups.ts';
import type { Duration } from '../durations.ts';

/** What `env.options({...})` and the third argument of `defineJob` take. The command line has the last word. */
export interface JobSettings {
  /** Subtasks of operators that do not set their own. Default 1. */
  readonly parallelism?: number;
  /** Number of key groups, 1..32768, fixed for the life of the job's state. Default 128. */
  readonly maxParallelism?: number;
  /** Time between checkpoints. Default 10 s. */
  readonly checkpointInterval?: Duration;
  /** A checkpoint that takes longer is given up. Default 10 min. */
  readonly checkpointTimeout?: Duration;
  /** Completed checkpoints kept. Default 3. */
  readonly checkpointsRetained?: number;
  /** Failed checkpoints in a row before the job fails. Default 3. */
  readonly checkpointFailuresMax?: number;
  /** A batch that is not full is sent after this long. Default 5 ms. */
  readonly bufferTimeout?: Duration;
  /** False: no operators are chained, but for those that must stay with their source. For finding out what one costs. Default true. */
  readonly chaining?: boolean;
  /** What happens after a failure. Default: restart after 1 s, growing to 1 min, for ever. */
  readonly restart?: RestartStrategyOptions;
}

const graphNames = {
  parallelism: 'parallelism',
  maxParallelism: 'maxParallelism',
  checkpointInterval: 'checkpointIntervalMs',
  checkpointTimeout: 'checkpointTimeoutMs',
  checkpointsRetained: 'checkpointsRetained',
  checkpointFailuresMax: 'checkpointFailuresMax',
  bufferTimeout: 'bufferTimeoutMs',
  chaining: 'chaining',
  restart: 'restart',
} as const satisfies Record<keyof JobSettings, keyof JobOptions>;

/**
 * Options of the graph: defaults, then the author's settings in order, then overrides.
 * @throws EngineError JOB_INVALID for an unknown option or a value out of range
 */
export function resolveJobOptions(
  jobName: string,
  settings: readonly JobSettings[],
  overrides: Partial<JobOptions>,
): JobOptions {
  const merged: Record<string, unknown> = { ...jobOptionsDefault };
  for (const one of settings) {
    for (const [name, value] of Object.entries(one)) {
      if (!Object.hasOwn(graphNames, name)) {
        throw new EngineError(
          'JOB_INVALID',
          `job '${jobName}': unknown option '${name}'; known: ${Object.keys(graphNames).join(', ')}`,
        );
      }
      if (value !== undefined) merged[graphNames[name as keyof JobSettings]] = value;
    }
  }
  for (const [name, value] of Object.entries(overrides)) if (value !== undefined) merged[name] = value;
  const options = merged as unknown as JobOptions;
  checkOptions(jobName, options);
  return Object.freeze(options);
}

function checkOptions(jobName: string, options: JobOptions): void {
  const range = (name: Exclude<keyof JobOptions, 'restart' | 'chaining'>, first: number, last: number): void => {
    const value: number = options[name];
    if (Number.isSafeInteger(value) && value >= first && value <= last) return;
    throw new EngineError(
      'JOB_INVALID',
      `job '${jobName}': ${name} is ${String(value)}; use a whole number of ${first} to ${last}`,
    );
  };
  const dayMs = 86_400_000;
  range('maxParallelism', 1, maxParallelismLimit);
  if (options.parallelism > options.maxParallelism) {
    throw new EngineError(
      'JOB_INVALID',
      `job '${jobName}': parallelism ${options.parallelism} is above maxParallelism ${options.maxParallelism} → choose a parallelism of 1 to ${options.maxParallelism}, or raise maxParallelism, which is fixed for the life of the job's state`,
    );
  }
  range('parallelism', 1, options.maxParallelism);
  range('checkpointIntervalMs', 10, 365 * dayMs);
  range('checkpointTimeoutMs', 10, 365 * dayMs);
  range('checkpointsRetained', 1, 1000);
  range('checkpointFailuresMax', 0, 1_000_000);
  range('bufferTimeoutMs', 0, dayMs);
  if (options.chaining !== undefined && typeof options.chaining !== 'boolean')
    throw new EngineError(
      'JOB_INVALID',
      `job '${jobName}': chaining is ${String(options.chaining)}; use true or false`,
    );
  checkRestart(jobName, options.restart);
}

/** What each number of a restart strategy may be; `null` where the type allows it. */
const restartRanges: Readonly<
  Record<RestartStrategyOptions['kind'], Readonly<Record<string, readonly [number, number]>>>
> = {
  'exponential-delay': {
    initialDelayMs: [0, Number.MAX_SAFE_INTEGER],
    maxDelayMs: [0, Number.MAX_SAFE_INTEGER],
    multiplier: [1, 1000],
    resetAfterMs: [0, Number.MAX_SAFE_INTEGER],
    jitter: [0, 1],
    attemptsMax: [0, Number.MAX_SAFE_INTEGER],
  },
  'fixed-delay': { delayMs: [0, Number.MAX_SAFE_INTEGER], attemptsMax: [0, Number.MAX_SAFE_INTEGER] },
  'failure-rate': {
    delayMs: [0, Number.MAX_SAFE_INTEGER],
    failuresMax: [1, Number.MAX_SAFE_INTEGER],
    intervalMs: [1, Number.MAX_SAFE_INTEGER],
  },
  none: {},
};

function checkRestart(jobName: string, restart: RestartStrategyOptions): void {
  if (typeof restart !== 'object' || restart === null || !Object.hasOwn(restartRanges, restart.kind)) {
    throw new EngineError(
      'JOB_INVALID',
      `job '${jobName}': restart needs a kind: ${Object.keys(restartRanges).join(', ')}`,
    );
  }
  const given = restart as unknown as Readonly<Record<string, unknown>>;
  for (const [name, [first, last]] of Object.entries(restartRanges[restart.kind])) {
    const value = given[name];
    if (name === 'attemptsMax' && value === null && restart.kind === 'exponential-delay') continue;
    if (typeof value === 'number' && value >= first && value <= last) continue;
    throw new EngineError(
      'JOB_INVALID',
      `job '${jobName}': restart.${name} is ${String(value)}; use a number of ${first} to ${last}`,
    );
  }
}
