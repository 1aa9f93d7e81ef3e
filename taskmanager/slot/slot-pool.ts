/**
 * Task slots as piscina worker threads: one thread per slot and a warm spare, one long task per thread and attempt. When
 * its attempt is over the thread is ended, and the pool starts another in its place.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { toWireError, type WireError } from '../../core/errors.ts';
import { workerEntry } from '../worker-entry.ts';
import type { SlotTask } from './slot-messages.ts';

export interface SlotHandle {
  /** Settles when the thread no longer runs the task: null after a regular end or `terminate`, else why it ended. */
  readonly exited: Promise<WireError | null>;
  /** Ends the thread now. */
  terminate(): void;
}

export class SlotPool {
  readonly #pool: Piscina;

  /** @param slotCount task slots of the task manager, 1 or more */
  constructor(slotCount: number) {
    const threads = slotCount + 1;
    this.#pool = new Piscina({
      filename: fileURLToPath(workerEntry(import.meta.url, 'slot-worker')),
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      maxQueue: threads,
      atomics: 'disabled',
    });
    // A worker that dies without a task reports here; without a listener the process would end.
    this.#pool.on('error', (error: unknown) => this.onIdleError(error));
  }

  /** Called when a thread without a task died; replaced by the task manager. */
  onIdleError: (error: unknown) => void = () => {};

  start(task: SlotTask): SlotHandle {
    const abort = new AbortController();
    const transferList = [task.control, task.store];
    if (task.stateHost !== null) transferList.push(task.stateHost.port);
    let ended = false;
    const exited = this.#pool.run(task, { signal: abort.signal, transferList }).then(
      () => null,
      (error: unknown) => (ended ? null : slotExit(error)),
    );
    return {
      exited,
      terminate: () => {
        ended = true;
        abort.abort();
      },
    };
  }

  async destroy(): Promise<void> {
    await this.#pool.destroy();
  }
}

function exitText(cause: string): string {
  const code = /exited with code:? (\d+)/.exec(cause)?.[1];
  if (code === undefined) {
    return `an error outside of any call of the engine, in a timer or a promise that nobody waits for, ended a slot: ${cause} → catch it where it is thrown`;
  }
  return `the thread of a slot ended with exit code ${code} → user code must not call process.exit(): throw an error to fail the job; the last checkpoint is kept`;
}

/** Why a thread ended by itself, in the engine's terms. */
function slotExit(error: unknown): WireError {
  const wire = toWireError(error);
  const cause = wire.message;
  const outOfMemory = (error as { code?: string }).code === 'ERR_WORKER_OUT_OF_MEMORY';
  const message = outOfMemory
    ? 'a slot ran out of heap memory and its thread was ended → keep less in user functions, or raise the memory of the process'
    : exitText(cause);
  return { ...wire, code: 'SLOT_EXITED', domain: 'user', retry: 'backoff', message };
}
