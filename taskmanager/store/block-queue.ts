/**
 * Blocks between the messages of slots and the file being written. Bounded by the credits of the slots, which go back when a block
 * is taken.
 */
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';

interface QueuedBlock {
  readonly block: RowBlock;
  readonly slotIndex: number;
}

export class BlockQueue implements AsyncIterable<RowBlock> {
  readonly #onTaken: (slotIndex: number, bytes: number) => void;
  #blocks: QueuedBlock[] = [];
  #taken = 0;
  #ended = false;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;

  /** @param onTaken called once for every block that was pushed, also when the queue fails */
  constructor(onTaken: (slotIndex: number, bytes: number) => void) {
    this.#onTaken = onTaken;
  }

  push(block: RowBlock, slotIndex: number): void {
    if (this.#failure !== null) return this.#onTaken(slotIndex, block.bytes.length);
    this.#blocks.push({ block, slotIndex });
    this.#wake?.();
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
    for (const { block, slotIndex } of this.#blocks.splice(0).slice(this.#taken))
      this.#onTaken(slotIndex, block.bytes.length);
    this.#taken = 0;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RowBlock> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const next = this.#take();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await this.#change();
    }
  }

  #take(): RowBlock | undefined {
    const next = this.#blocks[this.#taken];
    if (next === undefined) return undefined;
    this.#taken++;
    if (this.#taken === this.#blocks.length) {
      this.#blocks = [];
      this.#taken = 0;
    }
    this.#onTaken(next.slotIndex, next.block.bytes.length);
    return next.block;
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
