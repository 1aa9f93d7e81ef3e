/**
 * Defaults of the options of a job, once, for the planner and for tools that show them. Times in ms.
 */
import { maxParallelismDefault } from '../key-groups.ts';
import type { JobOptions } from './job-graph.ts';

/** Options of a job that sets none. */
export const jobOptionsDefault: JobOptions = Object.freeze({
  parallelism: 1,
  maxParallelism: maxParallelismDefault,
  checkpointIntervalMs: 10_000,
  checkpointTimeoutMs: 600_000,
  checkpointsRetained: 3,
  checkpointFailuresMax: 3,
  bufferTimeoutMs: 5,
  restart: Object.freeze({
    kind: 'exponential-delay',
    initialDelayMs: 1_000,
    maxDelayMs: 60_000,
    multiplier: 1.5,
    resetAfterMs: 3_600_000,
    jitter: 0.1,
    attemptsMax: null,
  }),
});
