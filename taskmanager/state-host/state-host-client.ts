/** The state host as the main thread of the task manager sees it. */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { EngineError } from '../../core/errors.ts';
import { workerEntry } from '../worker-entry.ts';
import {
  markHostDead,
  sharedBytes,
  type MainToStateHost,
  type StateHostSlot,
  type StateHostToMain,
} from './state-host-messages.ts';

/** What a slot needs for its `hostBackend`; `port` is to be transferred to the slot's thread, `shared` is shared with it. */
export interface StateHostConnection {
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
}

export class StateHost {
  readonly #worker: Worker;
  /** Of all connections, so that no slot waits for a host that is gone. */
  readonly #shared = new Map<number, SharedArrayBuffer>();
  readonly #crashed: ((error: EngineError) => void)[] = [];
  readonly #ended: Promise<void>;
  #nextConnectionId = 1;
  #stopping = false;
  #gone = false;

  /** Use {@link startStateHost}. */
  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (message: StateHostToMain) => {
      if (message.kind === 'detached') this.#shared.delete(message.connectionId);
    });
    let failure: unknown = null;
    worker.on('error', (error) => {
      failure = error;
    });
    this.#ended = new Promise((resolve) => {
      worker.on('exit', (code) => {
        this.#onExit(failure ?? new Error(`the thread ended with exit code ${code}`));
        resolve();
      });
    });
  }

  /** Connects a slot. An older attempt of the same slot of the same job is refused from now on. */
  attachSlot({ jobName, attempt, slotIndex }: StateHostSlot): StateHostConnection {
    const { port1, port2 } = new MessageChannel();
    const shared = new SharedArrayBuffer(sharedBytes);
    const connectionId = this.#nextConnectionId++;
    this.#shared.set(connectionId, shared);
    if (this.#gone) markHostDead(shared);
    const message: MainToStateHost = {
      kind: 'attachSlot',
      connectionId,
      slot: { jobName, attempt, slotIndex },
      port: port2,
      shared,
    };
    this.#worker.postMessage(message, [port2]);
    return { port: port1, shared };
  }

  /** The thread has ended by accident: all state beyond the caches of the slots is gone, every attempt fails. */
  onCrashed(callback: (error: EngineError) => void): void {
    this.#crashed.push(callback);
  }

  /** Ends the thread; slots that still wait are woken with an error. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#worker.postMessage({ kind: 'stop' } satisfies MainToStateHost);
    await this.#ended;
  }

  #onExit(cause: unknown): void {
    this.#gone = true;
    for (const shared of this.#shared.values()) markHostDead(shared);
    this.#shared.clear();
    if (this.#stopping) return;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the state host thread ended unexpectedly: ${reason}; restart the task manager`;
    const error = new EngineError('INTERNAL', message, { domain: 'internal', retry: 'backoff', cause });
    for (const callback of this.#crashed) callback(error);
  }
}

/**
 * Starts the state host with the cold backend.
 * @throws EngineError INTERNAL when the thread cannot start
 */
export async function startStateHost(): Promise<StateHost> {
  const worker = new Worker(workerEntry(import.meta.url, 'state-host-thread'), { execArgv: [] });
  const host = new StateHost(worker);
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    host.onCrashed(reject);
  });
  return host;
}
