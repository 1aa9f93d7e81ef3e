/** The store thread as the main thread of the task manager sees it. */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { EngineError, fromWireError } from '../../core/errors.ts';
import type { StoredObject } from '../../storage/object-store.ts';
import { workerEntry } from '../worker-entry.ts';
import type { StateFile } from './state-file.ts';
import type {
  MainToStore,
  StoreAttempt,
  StoredSubtaskSnapshot,
  StoreThreadData,
  StoreToMain,
} from './store-messages.ts';

/** The file of a checkpoint is durable; null when no slot had a changed row. */
export interface CheckpointWritten {
  readonly attempt: StoreAttempt;
  readonly checkpointId: number;
  readonly file: StateFile | null;
  readonly subtasks: readonly StoredSubtaskSnapshot[];
}

/** The share of this task manager cannot become durable; told once per checkpoint. */
export interface CheckpointWriteFailed {
  readonly attempt: StoreAttempt;
  readonly checkpointId: number;
  readonly error: EngineError;
}

interface PendingMerge {
  resolve(base: StateFile): void;
  reject(error: EngineError): void;
}

const checkpointKey = ({ jobName, attempt }: StoreAttempt, checkpointId: number): string =>
  `${attempt} ${checkpointId} ${jobName}`;

export class StoreThread {
  readonly #worker: Worker;
  readonly #written: ((written: CheckpointWritten) => void)[] = [];
  readonly #failed: ((failed: CheckpointWriteFailed) => void)[] = [];
  readonly #crashed: ((error: EngineError) => void)[] = [];
  readonly #merges = new Map<number, PendingMerge>();
  /** Begun and not yet written, failed or aborted. */
  readonly #open = new Map<string, { attempt: StoreAttempt; checkpointId: number }>();
  readonly #ended: Promise<void>;
  #nextRequestId = 1;
  #stopping = false;
  #crash: EngineError | null = null;

  /** Use {@link startStoreThread}. */
  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (message: StoreToMain) => this.#onMessage(message));
    worker.on('error', (error) => this.#onCrash(error));
    this.#ended = new Promise((resolve) => {
      worker.on('exit', (code) => {
        if (!this.#stopping) this.#onCrash(new Error(`the thread ended with exit code ${code}`));
        this.#rejectMerges(new EngineError('CANCELED', 'the merge was not finished: the store thread was stopped'));
        resolve();
      });
    });
  }

  /** The slot's end of its connection; to be transferred to the slot's thread, which makes a `SlotStoreClient` of it. */
  attachSlot(attempt: StoreAttempt, slotIndex: number): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#post({ kind: 'attachSlot', attempt: plain(attempt), slotIndex, port: port1 }, [port1]);
    return port2;
  }

  /** The slots that take part hand over their rows; to be called in order of ids and before the slots are triggered. */
  beginCheckpoint(attempt: StoreAttempt, checkpointId: number, slotIndexes: readonly number[]): void {
    this.#open.set(checkpointKey(attempt, checkpointId), { attempt: plain(attempt), checkpointId });
    this.#post({ kind: 'beginCheckpoint', attempt: plain(attempt), checkpointId, slotIndexes: [...slotIndexes] });
  }

  /** Gives a checkpoint up; a half-made file is removed, a file that was reported stays (the job manager owns it). */
  abortCheckpoint(attempt: StoreAttempt, checkpointId: number): void {
    this.#open.delete(checkpointKey(attempt, checkpointId));
    this.#post({ kind: 'abortCheckpoint', attempt: plain(attempt), checkpointId });
  }

  onWritten(callback: (written: CheckpointWritten) => void): void {
    this.#written.push(callback);
  }

  onFailed(callback: (failed: CheckpointWriteFailed) => void): void {
    this.#failed.push(callback);
  }

  /** The thread has ended by accident: no checkpoint can be written any more, the task manager should end as well. */
  onCrashed(callback: (error: EngineError) => void): void {
    this.#crashed.push(callback);
  }

  /**
   * Merges state files, given in the order in which they apply, into one base. The inputs stay.
   * @throws EngineError CHECKPOINT_UNREADABLE, STORAGE_FULL, STORAGE_FAILED
   */
  merge(attempt: StoreAttempt, mergeId: number, inputs: readonly StoredObject[]): Promise<StateFile> {
    const requestId = this.#nextRequestId++;
    return new Promise((resolve, reject) => {
      if (this.#crash !== null) return reject(this.#crash);
      if (this.#stopping)
        return reject(new EngineError('CANCELED', `merge ${mergeId} is not done: the store thread was stopped`));
      this.#merges.set(requestId, { resolve, reject });
      this.#post({
        kind: 'merge',
        requestId,
        attempt: plain(attempt),
        mergeId,
        inputs: inputs.map(({ name, sha256, bytes }) => ({ name, sha256, bytes })),
      });
    });
  }

  /** Discards what is half-made and ends the thread. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#post({ kind: 'stop' });
    await this.#ended;
  }

  #post(message: MainToStore, transfer: readonly MessagePort[] = []): void {
    this.#worker.postMessage(message, [...transfer]);
  }

  #onMessage(message: StoreToMain): void {
    switch (message.kind) {
      case 'ready':
      case 'stopped':
        return;
      case 'written': {
        const { attempt, checkpointId, file, subtasks } = message;
        // Also when it was aborted meanwhile: only who hears of the file can delete it.
        this.#open.delete(checkpointKey(attempt, checkpointId));
        for (const callback of this.#written) callback({ attempt, checkpointId, file, subtasks });
        return;
      }
      case 'failed':
        return this.#reportFailed(message.attempt, message.checkpointId, fromWireError(message.error));
      case 'merged':
        return this.#takeMerge(message.requestId)?.resolve(message.base);
      case 'mergeFailed':
        return this.#takeMerge(message.requestId)?.reject(fromWireError(message.error));
    }
  }

  #reportFailed(attempt: StoreAttempt, checkpointId: number, error: EngineError): void {
    // While stopping, half-made checkpoints are discarded on purpose.
    if (!this.#open.delete(checkpointKey(attempt, checkpointId)) || this.#stopping) return;
    for (const callback of this.#failed) callback({ attempt, checkpointId, error });
  }

  #takeMerge(requestId: number): PendingMerge | undefined {
    const merge = this.#merges.get(requestId);
    this.#merges.delete(requestId);
    return merge;
  }

  #onCrash(cause: unknown): void {
    if (this.#crash !== null) return;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new EngineError(
      'INTERNAL',
      `the store thread ended unexpectedly: ${reason}; restart the task manager`,
      {
        domain: 'internal',
        retry: 'backoff',
        cause,
      },
    );
    this.#crash = error;
    for (const { attempt, checkpointId } of [...this.#open.values()]) this.#reportFailed(attempt, checkpointId, error);
    this.#rejectMerges(error);
    for (const callback of this.#crashed) callback(error);
  }

  #rejectMerges(error: EngineError): void {
    for (const merge of this.#merges.values()) merge.reject(error);
    this.#merges.clear();
  }
}

/** Only the two fields: callers may pass richer objects, which would be cloned. */
const plain = ({ jobName, attempt }: StoreAttempt): StoreAttempt => ({ jobName, attempt });

/**
 * Starts the store thread over the storage of the cluster.
 * @throws EngineError INTERNAL when the thread cannot start
 */
export async function startStoreThread(options: StoreThreadData): Promise<StoreThread> {
  const { storage, taskManagerId } = options;
  const worker = new Worker(workerEntry(import.meta.url, 'store-thread'), {
    workerData: { storage, taskManagerId },
    execArgv: [],
  });
  const thread = new StoreThread(worker);
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    thread.onCrashed(reject);
  });
  return thread;
}
