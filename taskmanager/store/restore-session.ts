/** One restore of one slot: reads wanted rows and sends them while the slot has credit for them. */
import { toWireError } from '../../core/errors.ts';
import type { ObjectStore, StoredObject } from '../../storage/object-store.ts';
import { readWantedRows, type WantedRows } from './restore-stream.ts';
import { restoreCreditBytes, type StoreToSlot } from './store-messages.ts';

export class RestoreSession {
  readonly #restoreId: number;
  readonly #post: (message: StoreToSlot, transfer: readonly ArrayBuffer[]) => void;
  #credit = restoreCreditBytes;
  #canceled = false;
  #wake: (() => void) | null = null;

  constructor(restoreId: number, post: (message: StoreToSlot, transfer: readonly ArrayBuffer[]) => void) {
    this.#restoreId = restoreId;
    this.#post = post;
  }

  addCredit(bytes: number): void {
    this.#credit += bytes;
    this.#wake?.();
  }

  /** Stops soon; nothing is sent any more. */
  cancel(): void {
    this.#canceled = true;
    this.#wake?.();
  }

  /** Never rejects: failures are sent to the slot. */
  async run(
    store: ObjectStore,
    files: readonly { readonly object: StoredObject }[],
    wanted: readonly WantedRows[],
  ): Promise<void> {
    const restoreId = this.#restoreId;
    try {
      for await (const { block, fileIndex } of readWantedRows(store, files, wanted)) {
        // Below zero by one block at most, so that a block larger than all credit passes as well.
        while (this.#credit <= 0 && !this.#canceled) await this.#change();
        if (this.#canceled) return;
        this.#credit -= block.bytes.length;
        this.#post({ kind: 'restoreBlock', restoreId, fileIndex, block }, [block.bytes.buffer as ArrayBuffer]);
      }
      if (!this.#canceled) this.#post({ kind: 'restored', restoreId }, []);
    } catch (error) {
      if (!this.#canceled) this.#post({ kind: 'restoreFailed', restoreId, error: toWireError(error) }, []);
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }
}
