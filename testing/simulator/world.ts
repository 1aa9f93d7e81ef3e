/**
 * The world under virtual time: the clock, processes that crash and pause, the trace, counters of what happened, and
 * violations. Everything random comes from split streams of the seed; nothing else decides what happens when.
 */
import { EngineError } from '../../core/errors.ts';
import type { SimulationConfiguration } from './configuration.ts';
import { EventQueue } from './event-queue.ts';
import { hashStart, mixText, type Random, randomStream } from './random.ts';

/** What must be seen at least once over a batch of seeds; else the batch proves less than it seems. */
export const sometimesNames = [
  'abort_during_alignment',
  'checkpoint_requested_during_another',
  'checkpoint_requested_while_not_running',
  'checkpoint_timed_out',
  'commit_result_unknown',
  'commits_driven_again_after_restore',
  'disk_full_during_checkpoint',
  'finished_subtasks_not_started_again',
  'job_manager_died_after_pointer_before_notification',
  'job_manager_died_before_pointer',
  'late_report_of_older_attempt',
  'merge_entered_manifest',
  'attempt_adopted',
  'region_restarted_alone',
  'region_not_adopted_with_the_others',
  'attempt_not_adopted',
  'old_leader_fenced_at_counter',
  'old_leader_fenced_at_pointer',
  'old_leader_fenced_at_terminal',
  'pointer_result_unknown',
  'requested_checkpoint_completed',
  'requested_checkpoint_given_up',
  'resumed_with_other_parallelism',
  'rescaled',
  'savepoint_disposed',
  'savepoint_given_up',
  'savepoint_taken',
  'started_from_savepoint',
  'restored_from_checkpoint',
  'stale_leader_refused_by_task_manager',
  'stopped_with_last_checkpoint',
  'task_manager_lost',
  'unreadable_checkpoint_stopped_the_job',
  'zombie_acknowledgement_refused',
] as const;
export type SometimesName = (typeof sometimesNames)[number];

/** An operating-system process of the world. What it had scheduled does not happen when it is dead, and waits while it is paused. */
export interface Process {
  readonly name: string;
  alive: boolean;
  pausedUntilMs: number;
}

export class ViolationError extends Error {}

export class World {
  readonly configuration: SimulationConfiguration;
  readonly sometimes = new Map<SometimesName, number>();
  readonly traceLines: string[] | null;
  nowMs = 0;
  /** Faults happen while this is true. */
  faultsOn = true;
  eventCount = 0;
  traceHash = hashStart;
  readonly #queue = new EventQueue();
  readonly #tie: Random;
  #pushed = 0;

  constructor(configuration: SimulationConfiguration, traced: boolean) {
    this.configuration = configuration;
    this.traceLines = traced ? [] : null;
    this.#tie = randomStream(configuration.seed, 'tie');
  }

  random(purpose: string): Random {
    return randomStream(this.configuration.seed, purpose);
  }

  newProcess(name: string): Process {
    return { name, alive: true, pausedUntilMs: 0 };
  }

  /** Runs something later, on a process or (null) outside of all. */
  schedule(delayMs: number, process: Process | null, label: string, run: () => void): void {
    this.#push(this.nowMs + delayMs, process, label, run);
  }

  #push(atMs: number, process: Process | null, label: string, run: () => void): void {
    const guarded =
      process === null
        ? run
        : () => {
            if (!process.alive) return;
            if (process.pausedUntilMs > this.nowMs) this.#push(process.pausedUntilMs, process, label, run);
            else run();
          };
    this.#queue.push({ atMs, tie: this.#tie.next(), number: this.#pushed++, label, run: guarded });
  }

  /** Lets the next event happen; false when there is none. */
  step(): boolean {
    const event = this.#queue.pop();
    if (event === null) return false;
    this.eventCount++;
    this.nowMs = Math.max(this.nowMs, event.atMs);
    this.traceHash = mixText(this.traceHash ^ this.nowMs, event.label);
    event.run();
    return true;
  }

  /** A line of the trace; the text is only made when somebody wants it. */
  trace(text: () => string): void {
    if (this.traceLines !== null) this.traceLines.push(`${String(this.nowMs).padStart(7)} ${text()}`);
  }

  saw(name: SometimesName): void {
    this.sometimes.set(name, (this.sometimes.get(name) ?? 0) + 1);
  }

  /** What must never be, is. */
  check(condition: boolean, what: () => string): asserts condition {
    if (!condition) throw new ViolationError(what());
  }
}

export function transportError(what: string): EngineError {
  return new EngineError('TRANSPORT_FAILED', what, { domain: 'external', retry: 'backoff' });
}
