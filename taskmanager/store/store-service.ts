/**
 * The store thread's work: acts on what the ledger decides, streams rows back to restoring slots, merges files one at a time.
 * No decision about a checkpoint is taken here. The thread's entry is store-thread.ts.
 */
import { EngineError, toWireError } from '../../core/errors.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { OpenFile } from '../../storage/file-system.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { BlockQueue } from './block-queue.ts';
import {
  CheckpointLedger,
  type LedgerAction,
  type LedgerCheckpoint,
  type LedgerEvent,
  type LedgerSlot,
} from './checkpoint-ledger.ts';
import { mergeStateFiles } from './merge-files.ts';
import { RestoreSession } from './restore-session.ts';
import { SlotSpill } from './slot-spill.ts';
import { writeStateFile } from './state-file.ts';
import type { MainToStore, SlotToStore, StoreAttempt, StoreToMain, StoreToSlot } from './store-messages.ts';

/** The end of a slot's port, as the service uses it. */
export interface SlotPort {
  post(message: StoreToSlot, transfer: readonly ArrayBuffer[]): void;
  close(): void;
}

export interface StoreServiceOptions {
  readonly store: ObjectStore;
  readonly taskManagerId: string;
  readonly post: (message: StoreToMain) => void;
  /** A new file without a name, for spilled rows. */
  readonly openScratch: () => Promise<OpenFile>;
  /** A part of a name that no other call returns, in any process. */
  readonly uniqueName: () => string;
}

interface AttachedSlot {
  readonly slot: LedgerSlot;
  readonly port: SlotPort;
  readonly spill: SlotSpill;
  readonly restores: Map<number, RestoreSession>;
}

const slotKey = ({ jobName, attempt, slotIndex }: LedgerSlot): string => `${attempt} ${slotIndex} ${jobName}`;
const checkpointKey = ({ jobName, attempt, checkpointId }: LedgerCheckpoint): string =>
  `${attempt} ${checkpointId} ${jobName}`;

export class StoreService {
  readonly #options: StoreServiceOptions;
  readonly #ledger = new CheckpointLedger();
  readonly #slots = new Map<string, AttachedSlot>();
  /** Queues of the files that take blocks. */
  readonly #queues = new Map<string, BlockQueue>();
  /** Whatever runs; `stop` waits for it. */
  readonly #running = new Set<Promise<void>>();
  #merges: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(options: StoreServiceOptions) {
    this.#options = options;
  }

  attachSlot(slot: LedgerSlot, port: SlotPort): void {
    const spill = new SlotSpill(this.#options.openScratch, (closing) => this.#track(closing));
    this.#slots.set(slotKey(slot), { slot, port, spill, restores: new Map() });
    this.#apply({ kind: 'slotAttached', slot });
  }

  /** The port of a slot is closed: its thread has ended. */
  slotClosed(slot: LedgerSlot): void {
    const attached = this.#slots.get(slotKey(slot));
    if (attached === undefined) return;
    this.#slots.delete(slotKey(slot));
    for (const restore of attached.restores.values()) restore.cancel();
    attached.spill.close();
    this.#apply({ kind: 'slotGone', slot });
  }

  onMainMessage(message: Exclude<MainToStore, { kind: 'attachSlot' | 'stop' }>): void {
    switch (message.kind) {
      case 'beginCheckpoint':
        return this.#apply({
          kind: 'begun',
          checkpoint: { ...message.attempt, checkpointId: message.checkpointId },
          slotIndexes: message.slotIndexes,
        });
      case 'abortCheckpoint':
        return this.#apply({ kind: 'aborted', checkpoint: { ...message.attempt, checkpointId: message.checkpointId } });
      case 'merge':
        // One after the other: each holds a key group of all its inputs.
        this.#merges = this.#merges.then(() => this.#merge(message));
        return this.#track(this.#merges);
    }
  }

  onSlotMessage(slot: LedgerSlot, message: SlotToStore): void {
    const { jobName, attempt, slotIndex } = slot;
    switch (message.kind) {
      case 'block':
        return this.#apply({
          kind: 'block',
          checkpoint: { jobName, attempt, checkpointId: message.checkpointId },
          slotIndex,
          block: message.block,
        });
      case 'spill':
        return this.#spill(slot, message);
      case 'includeSpilled':
        return this.#apply({
          kind: 'spilled',
          checkpoint: { jobName, attempt, checkpointId: message.checkpointId },
          slotIndex,
          range: message.range,
        });
      case 'dropSpilled':
        return this.#slots.get(slotKey(slot))?.spill.drop(message.owner, message.epoch);
      case 'slotDone':
        return this.#apply({
          kind: 'slotDone',
          checkpoint: { jobName, attempt, checkpointId: message.checkpointId },
          slotIndex,
          subtasks: message.subtasks,
        });
      case 'left':
        return this.#apply({ kind: 'slotLeft', slot });
      case 'restore':
        return this.#restore(slot, message);
      case 'restoreCredit':
        return this.#slots.get(slotKey(slot))?.restores.get(message.restoreId)?.addCredit(message.bytes);
    }
  }

  /** Discards what is half-made and waits until nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { slot, port } of [...this.#slots.values()]) {
      this.slotClosed(slot);
      port.close();
    }
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #apply(event: LedgerEvent): void {
    for (const action of this.#ledger.apply(event)) this.#act(action);
  }

  #act(action: LedgerAction): void {
    switch (action.kind) {
      case 'openFile':
        return this.#track(this.#writeFile(action.checkpoint));
      case 'append':
        return this.#queues.get(checkpointKey(action.checkpoint))?.push(action.block, action.slotIndex);
      case 'appendSpilled':
        return this.#appendSpilled(action);
      case 'returnCredit':
        return this.#returnCredit(action.slot, action.bytes);
      case 'endFile':
        return this.#queues.get(checkpointKey(action.checkpoint))?.end();
      case 'discardFile':
        return this.#queues.get(checkpointKey(action.checkpoint))?.fail(new DiscardedFile());
      case 'deleteFile':
        return this.#track(this.#deleteFile(action.file.object.name));
      case 'reportWritten': {
        const { checkpointId, ...attempt } = action.checkpoint;
        return this.#options.post({
          kind: 'written',
          attempt,
          checkpointId,
          file: action.file,
          subtasks: action.subtasks,
        });
      }
      case 'reportFailed': {
        const { checkpointId, ...attempt } = action.checkpoint;
        return this.#options.post({ kind: 'failed', attempt, checkpointId, error: action.error });
      }
    }
  }

  #appendSpilled({ checkpoint, slotIndex, range }: Extract<LedgerAction, { kind: 'appendSpilled' }>): void {
    const { jobName, attempt } = checkpoint;
    const spill = this.#slots.get(slotKey({ jobName, attempt, slotIndex }))?.spill;
    // Chosen now: what comes later, or is dropped later, does not change what the checkpoint contains.
    const blocks = spill?.select(range.owner, range.from, range.to);
    if (blocks === undefined) return;
    const queue = this.#queues.get(checkpointKey(checkpoint));
    if (queue === undefined) blocks.release();
    else queue.pushSpilled(blocks);
  }

  /** The credit of a block goes back when it is in its file. */
  #spill(slot: LedgerSlot, { owner, epoch, block }: Extract<SlotToStore, { kind: 'spill' }>): void {
    const attached = this.#slots.get(slotKey(slot));
    if (attached === undefined) return;
    const written = attached.spill.put(owner, epoch, block).then(
      () => this.#returnCredit(slot, block.bytes.length),
      (error: unknown) => attached.port.post({ kind: 'spillFailed', error: toWireError(error) }, []),
    );
    this.#track(written);
  }

  async #writeFile(checkpoint: LedgerCheckpoint): Promise<void> {
    const { jobName, attempt, checkpointId } = checkpoint;
    const queue = new BlockQueue((slotIndex, bytes) => this.#returnCredit({ jobName, attempt, slotIndex }, bytes));
    const key = checkpointKey(checkpoint);
    this.#queues.set(key, queue);
    try {
      const file = await writeStateFile(this.#options.store, this.#fileName(checkpoint, `${checkpointId}`), queue);
      this.#apply({ kind: 'fileWritten', checkpoint, file });
    } catch (error) {
      if (!(error instanceof DiscardedFile)) this.#apply({ kind: 'fileFailed', checkpoint, error: toWireError(error) });
    } finally {
      this.#queues.delete(key);
    }
  }

  async #merge({ requestId, attempt, mergeId, inputs }: Extract<MainToStore, { kind: 'merge' }>): Promise<void> {
    try {
      if (this.#stopping)
        throw new EngineError(
          'CANCELED',
          `merge ${mergeId} of job ${attempt.jobName} is not done: the store thread stops`,
        );
      const base = await mergeStateFiles(this.#options.store, inputs, this.#fileName(attempt, `merge${mergeId}`));
      this.#options.post({ kind: 'merged', requestId, base });
    } catch (error) {
      this.#options.post({ kind: 'mergeFailed', requestId, error: toWireError(error) });
    }
  }

  /** An orphan that cannot be deleted is left to the garbage collection of the job manager: it is in no manifest. */
  async #deleteFile(name: string): Promise<void> {
    await this.#options.store.delete(name).catch(() => undefined);
  }

  #restore(slot: LedgerSlot, { restoreId, files, wanted }: Extract<SlotToStore, { kind: 'restore' }>): void {
    const attached = this.#slots.get(slotKey(slot));
    if (attached === undefined) return;
    const session = new RestoreSession(restoreId, (message, transfer) => attached.port.post(message, transfer));
    attached.restores.set(restoreId, session);
    this.#track(session.run(this.#options.store, files, wanted).finally(() => attached.restores.delete(restoreId)));
  }

  #returnCredit(slot: LedgerSlot, bytes: number): void {
    this.#slots.get(slotKey(slot))?.port.post({ kind: 'credit', bytes }, []);
  }

  #fileName({ jobName, attempt }: StoreAttempt, what: string): string {
    return `${jobDirectoryName(jobName)}/state/${attempt}-${what}-${this.#options.taskManagerId}-${this.#options.uniqueName()}.rows`;
  }

  #track(running: Promise<void>): void {
    const tracked = running.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}

/** Thrown by the queue of a file that is given up: not an error of the checkpoint. */
class DiscardedFile extends Error {
  constructor() {
    super('the checkpoint was given up');
  }
}
