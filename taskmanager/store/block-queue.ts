/**
 * Blocks between the messages of slots and the file being written. Bounded by the credits of the slots, which go back when a block
 * is taken. Spilled blocks stand in the queue as one item and are read from their files when their turn comes.
 */
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { SpilledBlocks } from './slot-spill.ts';

interface QueuedBlock {
  readonly block: RowBlock;
  readonly slotIndex: number;
}

type Queued = QueuedBlock | SpilledBlocks;

export class BlockQueue implements AsyncIterable<RowBlock> {
  readonly #onTaken: (slotIndex: number, bytes: number) => void;
  #items: Queued[] = [];
  #taken = 0;
  #ended = false;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;

  /** @param onTaken called once for every block that was pushed, also when the queue fails */
  constructor(onTaken: (slotIndex: number, bytes: number) => void) {
    this.#onTaken = onTaken;
  }

  push(block: RowBlock, slotIndex: number): void {
    this.#push({ block, slotIndex });
  }

  /** They are read, or released when the queue fails. */
  pushSpilled(blocks: SpilledBlocks): void {
    this.#push(blocks);
  }

  /** No more blocks come. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Makes the reader throw `error`; what is queued is dropped. */
  fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const item of this.#items.splice(0).slice(this.#taken)) this.#settle(item);
    this.#taken = 0;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RowBlock> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const next = this.#take();
      if (next === undefined) {
        if (this.#ended) return;
        await this.#change();
      } else if ('block' in next) yield next.block;
      else yield* this.#spilled(next);
    }
  }

  async *#spilled(blocks: SpilledBlocks): AsyncGenerator<RowBlock> {
    for await (const block of blocks.read()) {
      if (this.#failure !== null) throw this.#failure;
      yield block;
    }
  }

  #push(item: Queued): void {
    if (this.#failure !== null) return this.#settle(item);
    this.#items.push(item);
    this.#wake?.();
  }

  #take(): Queued | undefined {
    const next = this.#items[this.#taken];
    if (next === undefined) return undefined;
    this.#taken++;
    if (this.#taken === this.#items.length) {
      this.#items = [];
      this.#taken = 0;
    }
    if ('block' in next) this.#settle(next);
    return next;
  }

  /** Gives back what an item holds. */
  #settle(item: Queued): void {
    if ('block' in item) this.#onTaken(item.slotIndex, item.block.bytes.length);
    else item.release();
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
