/**
 * Drives an attempt: runs what is ready, and turns the event loop so that promises of connectors and user functions settle.
 * Work that really takes time (a user function that awaits a socket) is waited for, up to a bound.
 */
import { EngineError } from '../../core/errors.ts';
import type { VirtualAttempt } from './virtual-attempt.ts';
import type { VirtualScheduler } from './virtual-scheduler.ts';

/** Steps between two turns of the event loop. */
const stepsPerTurn = 256;
/** Turns without work after which nothing more is expected. */
const quietTurns = 3;
/** Turns of a millisecond without work after which the clock is moved to whoever waits for it. */
const patienceTurns = 20;
/** Turns of a millisecond without work, with nobody waiting for the clock, before a job counts as stuck. */
const stuckTurns = 20_000;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nextMillisecond = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** Runs until nothing is ready and nothing arrives. @throws what failed the attempt */
export async function settle(attempt: VirtualAttempt, scheduler: VirtualScheduler): Promise<void> {
  for (let quiet = 0; quiet < quietTurns; quiet++) {
    if (runReady(attempt, scheduler)) quiet = -1;
    await nextTurn();
  }
  throwFailure(attempt);
}

/**
 * Runs until the condition holds. When all else is quiet the clock goes on to the next time somebody waits for.
 * @throws what failed the attempt; INTERNAL when it can never hold
 */
export async function driveUntil(
  attempt: VirtualAttempt,
  scheduler: VirtualScheduler,
  condition: () => boolean,
): Promise<void> {
  let quiet = 0;
  while (!condition()) {
    quiet = runReady(attempt, scheduler) ? 0 : quiet + 1;
    throwFailure(attempt);
    if (condition()) return;
    await (quiet <= quietTurns ? nextTurn() : nextMillisecond());
    if (quiet > patienceTurns && scheduler.nextWakeMs < Number.POSITIVE_INFINITY) {
      scheduler.advanceTo(scheduler.nextWakeMs);
      quiet = 0;
    }
    if (quiet > stuckTurns) throw stuck(attempt);
  }
}

function runReady(attempt: VirtualAttempt, scheduler: VirtualScheduler): boolean {
  let worked = false;
  for (let steps = 0; steps < stepsPerTurn && attempt.failure === null && scheduler.step(); steps++) worked = true;
  return scheduler.encode() || worked;
}

function throwFailure(attempt: VirtualAttempt): void {
  if (attempt.failure !== null) throw attempt.failure.error;
}

function stuck(attempt: VirtualAttempt): EngineError {
  const { name } = attempt.options.job.graph;
  const message = `job '${name}' does not go on: a source that never ends, or a function whose promise never settles → give every source an input, and let functions of a test answer`;
  return new EngineError('INTERNAL', message, { ids: { job: name } });
}
