/**
 * Whether and when a failed attempt is followed by another. Pure: time and random numbers are handed in.
 * Strategies after Flink; `jitter` spreads restarts so that many jobs do not come back in step.
 */
import { assertNever, type ErrorCode, type WireError } from '../../core/errors.ts';
import type { RestartStrategyOptions } from '../../core/graph/job-graph.ts';

export type RestartDecision =
  | { readonly restart: true; readonly delayMs: number }
  | { readonly restart: false; readonly reason: string };

/**
 * What an error means for the job, whatever its author thought of it. `never`: running again cannot help, or would hide
 * that something is wrong (rule 4). `always`: says nothing about the job itself. `as-said`: `retry` of the error decides.
 */
const errorMeaning: Readonly<Record<ErrorCode, 'never' | 'always' | 'as-said'>> = {
  USAGE: 'never',
  JOB_INVALID: 'never',
  JOB_NOT_DETERMINISTIC: 'never',
  GRAPH_CHANGED: 'never',
  PARAMETER_INVALID: 'never',
  INPUT_NOT_FOUND: 'as-said',
  INPUT_MALFORMED: 'as-said',
  VALUE_NOT_ENCODABLE: 'as-said',
  KEY_NOT_SUPPORTED: 'as-said',
  RECORD_TOO_LARGE: 'as-said',
  USER_FUNCTION_FAILED: 'as-said',
  USER_FUNCTION_STUCK: 'as-said',
  SLOT_EXITED: 'always',
  MEMORY_EXCEEDED: 'always',
  STATE_DIRECTORY_IN_USE: 'never',
  STATE_DIRECTORY_FOREIGN: 'never',
  STATE_DIRECTORY_VERSION: 'never',
  CHECKPOINT_UNREADABLE: 'never',
  CHECKPOINT_FAILED: 'as-said',
  SAVEPOINT_NOT_FOUND: 'never',
  SAVEPOINT_UNREADABLE: 'never',
  SAVEPOINT_REFUSED: 'never',
  SAVEPOINT_IN_USE: 'never',
  STORAGE_FAILED: 'as-said',
  STORAGE_FULL: 'as-said',
  OUTPUT_OCCUPIED: 'never',
  PORT_IN_USE: 'as-said',
  TRANSPORT_FAILED: 'always',
  PROTOCOL: 'as-said',
  STALE_EPOCH: 'always',
  NOT_LEADER: 'always',
  CLUSTER_UNAVAILABLE: 'always',
  UNAUTHENTICATED: 'as-said',
  FORBIDDEN: 'as-said',
  CONFIG_INVALID: 'never',
  JOB_NOT_FOUND: 'never',
  JOB_EXISTS: 'never',
  CANCELED: 'always',
  NOT_SUPPORTED: 'never',
  INTERNAL: 'as-said',
};

/** True when running the job again may help. */
export function isRestartable(error: WireError): boolean {
  const meaning = errorMeaning[error.code];
  return meaning === 'always' || (meaning === 'as-said' && error.retry === 'backoff');
}

export class RestartPolicy {
  readonly #options: RestartStrategyOptions;
  /** Restarts since the last reset. */
  #restarts = 0;
  #delayMs = 0;
  #runningSinceMs: number | null = null;
  #failuresMs: number[] = [];

  constructor(options: RestartStrategyOptions) {
    this.#options = options;
  }

  /** All subtasks of the attempt run. */
  running(nowMs: number): void {
    this.#runningSinceMs = nowMs;
  }

  /** The attempt failed with an error that allows a restart. @param random in [0, 1) */
  failed(nowMs: number, random: number): RestartDecision {
    const ranMs = this.#runningSinceMs === null ? 0 : nowMs - this.#runningSinceMs;
    this.#runningSinceMs = null;
    const options = this.#options;
    switch (options.kind) {
      case 'none':
        return { restart: false, reason: 'the job has no restart strategy' };
      case 'fixed-delay':
        return this.#limited(options.attemptsMax, options.delayMs);
      case 'failure-rate':
        return this.#rateLimited(options, nowMs);
      case 'exponential-delay':
        return this.#exponential(options, { ranMs, random });
      default:
        return assertNever(options, 'restart strategy');
    }
  }

  #limited(attemptsMax: number | null, delayMs: number): RestartDecision {
    if (attemptsMax !== null && this.#restarts >= attemptsMax) {
      return {
        restart: false,
        reason: `it was restarted ${this.#restarts} times already, its limit is ${attemptsMax}`,
      };
    }
    this.#restarts++;
    return { restart: true, delayMs };
  }

  #rateLimited(options: RestartStrategyOptions & { kind: 'failure-rate' }, nowMs: number): RestartDecision {
    this.#failuresMs = this.#failuresMs.filter((failureMs) => nowMs - failureMs < options.intervalMs);
    this.#failuresMs.push(nowMs);
    if (this.#failuresMs.length > options.failuresMax) {
      const reason = `it failed ${this.#failuresMs.length} times within ${options.intervalMs} ms, its limit is ${options.failuresMax}`;
      return { restart: false, reason };
    }
    return { restart: true, delayMs: options.delayMs };
  }

  #exponential(
    options: RestartStrategyOptions & { kind: 'exponential-delay' },
    given: { readonly ranMs: number; readonly random: number },
  ): RestartDecision {
    if (given.ranMs >= options.resetAfterMs) {
      this.#restarts = 0;
      this.#delayMs = 0;
    }
    const grown = this.#delayMs === 0 ? options.initialDelayMs : this.#delayMs * options.multiplier;
    this.#delayMs = Math.min(options.maxDelayMs, Math.max(grown, 1));
    const spread = 1 + options.jitter * (2 * given.random - 1);
    return this.#limited(options.attemptsMax, Math.max(0, Math.round(this.#delayMs * spread)));
  }
}
