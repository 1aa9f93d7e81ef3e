/** The store thread as a slot sees it. */
import type { MessagePort } from 'node:worker_threads';
import { assert, EngineError, fromWireError } from '../../core/errors.ts';
import type { RowBlock, RowBlockWriter } from '../../runtime/checkpoint/row-block.ts';
import type { RowSpill, SpillShare } from '../../runtime/state/row-spill.ts';
import type { StoredObject } from '../../storage/object-store.ts';
import type { WantedRows } from './restore-stream.ts';
import { slotCreditBytes, type SlotToStore, type StoredSubtaskSnapshot, type StoreToSlot } from './store-messages.ts';

interface PendingRestore {
  readonly onBlock: (block: RowBlock, fileIndex: number) => void;
  resolve(): void;
  reject(error: unknown): void;
}

export class SlotStoreClient implements RowSpill {
  /** Called when there is credit again. */
  onCredit: () => void = () => undefined;
  /** Called when the store thread is gone: blocks are lost from now on, the slot should fail. */
  onClosed: (error: EngineError) => void = () => undefined;
  /** Called when spilled rows could not be kept: the slot should fail. */
  onSpillFailed: (error: EngineError) => void = () => undefined;
  readonly #port: MessagePort;
  readonly #restores = new Map<number, PendingRestore>();
  #bytesInFlight = 0;
  #nextRestoreId = 1;
  #owners = 0;
  #waitingForRoom: (() => void)[] = [];
  #closing = false;
  #closed: EngineError | null = null;

  /** @param port from `StoreThread.attachSlot`; belongs to this client from now on and keeps the thread alive until {@link close} */
  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: StoreToSlot) => this.#onMessage(message));
    port.on('close', () => this.#onClose());
  }

  /** False while so much is under way that encoding should wait for {@link onCredit}. */
  get hasCredit(): boolean {
    return this.#bytesInFlight < slotCreditBytes;
  }

  /** Hands rows over; the block's buffer is transferred. Ask {@link hasCredit} before encoding the next one. */
  sendBlock(checkpointId: number, block: RowBlock): void {
    const { operatorId, stateName, rowCount, bytes } = block;
    assert(bytes.length === bytes.buffer.byteLength && bytes.length > 0, 'a block is a whole ArrayBuffer of its own');
    this.#bytesInFlight += bytes.length;
    this.#post({ kind: 'block', checkpointId, block: { operatorId, stateName, rowCount, bytes } }, [
      bytes.buffer as ArrayBuffer,
    ]);
  }

  get hasRoom(): boolean {
    return this.hasCredit;
  }

  whenRoom(callback: () => void): void {
    this.#waitingForRoom.push(callback);
  }

  newOwner(): number {
    return ++this.#owners;
  }

  put(owner: number, epoch: number, { operatorId, stateName, rowCount, bytes }: RowBlock): void {
    this.#bytesInFlight += bytes.length;
    this.#post({ kind: 'spill', owner, epoch, block: { operatorId, stateName, rowCount, bytes } }, [
      bytes.buffer as ArrayBuffer,
    ]);
  }

  include({ owner, checkpointId, from, to, rows, bytes }: SpillShare, writer: RowBlockWriter): void {
    writer.countElsewhere(rows, bytes);
    this.#post({ kind: 'includeSpilled', checkpointId, range: { owner, from, to } });
  }

  drop(owner: number, epoch: number): void {
    this.#post({ kind: 'dropSpilled', owner, epoch });
  }

  /** All rows of this slot for this checkpoint were sent. */
  slotDone(checkpointId: number, subtasks: readonly StoredSubtaskSnapshot[]): void {
    this.#post({ kind: 'slotDone', checkpointId, subtasks });
  }

  /**
   * Reads the rows a slot needs of the files of a checkpoint. `onBlock` is called with whole blocks of wanted operators: rows of the
   * wanted key groups and of the reserved one, older files first, in the order in which they apply; tombstones included.
   * @throws EngineError CHECKPOINT_UNREADABLE naming file and part, STORAGE_FAILED; or what `onBlock` threw
   */
  restore(
    files: readonly { readonly object: StoredObject }[],
    wanted: readonly WantedRows[],
    onBlock: (block: RowBlock, fileIndex: number) => void,
  ): Promise<void> {
    const restoreId = this.#nextRestoreId++;
    return new Promise((resolve, reject) => {
      if (this.#closed !== null) return reject(this.#closed);
      this.#restores.set(restoreId, { onBlock, resolve, reject });
      const objects = files.map(({ object: { name, sha256, bytes } }) => ({ object: { name, sha256, bytes } }));
      const ranges = wanted.map(({ operatorId, keyGroups }) => ({
        operatorId,
        keyGroups: keyGroups.map(({ first, last }) => ({ first, last })),
      }));
      this.#post({ kind: 'restore', restoreId, files: objects, wanted: ranges });
    });
  }

  /** All subtasks of the slot have finished: no checkpoint waits for a share of it. */
  left(): void {
    this.#post({ kind: 'left' });
  }

  /** Ends the connection. What was sent before is still taken. */
  close(): void {
    this.#closing = true;
    this.#port.close();
  }

  #post(message: SlotToStore, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, [...transfer]);
  }

  #onMessage(message: StoreToSlot): void {
    switch (message.kind) {
      case 'credit':
        return this.#credit(message.bytes);
      case 'spillFailed':
        return this.onSpillFailed(fromWireError(message.error));
      case 'restoreBlock':
        return this.#restoreBlock(message.restoreId, message.block, message.fileIndex);
      case 'restored':
        return this.#takeRestore(message.restoreId)?.resolve();
      case 'restoreFailed':
        return this.#takeRestore(message.restoreId)?.reject(fromWireError(message.error));
    }
  }

  #credit(bytes: number): void {
    const hadCredit = this.hasCredit;
    this.#bytesInFlight -= bytes;
    if (hadCredit || !this.hasCredit) return;
    this.onCredit();
    for (const callback of this.#waitingForRoom.splice(0)) callback();
  }

  #restoreBlock(restoreId: number, block: RowBlock, fileIndex: number): void {
    const bytes = block.bytes.length;
    try {
      this.#restores.get(restoreId)?.onBlock(block, fileIndex);
    } catch (error) {
      // The rest still comes and is dropped: credit is returned below, so the store thread gets to its end.
      this.#takeRestore(restoreId)?.reject(error);
    }
    this.#post({ kind: 'restoreCredit', restoreId, bytes });
  }

  #takeRestore(restoreId: number): PendingRestore | undefined {
    const restore = this.#restores.get(restoreId);
    this.#restores.delete(restoreId);
    return restore;
  }

  #onClose(): void {
    if (this.#closed !== null) return;
    const message = this.#closing
      ? 'the connection to the store thread was closed'
      : 'the store thread has ended; restart the task manager';
    this.#closed = new EngineError(this.#closing ? 'CANCELED' : 'INTERNAL', message, {
      domain: 'internal',
      retry: 'backoff',
    });
    for (const restore of this.#restores.values()) restore.reject(this.#closed);
    this.#restores.clear();
    if (!this.#closing) this.onClosed(this.#closed);
  }
}
