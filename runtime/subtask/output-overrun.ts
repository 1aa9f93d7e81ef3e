/**
 * Bounds what one record may emit beyond the room there is. Room is asked for before a record, and what the record becomes
 * is taken whole (`channel.ts`); this counts the bytes handed on without room until the step is over and says when they are
 * too many. Counting costs nothing while there is room.
 */
import { EngineError } from '../../core/errors.ts';

/** Most that one record of the input may emit beyond the room there is, in bytes. */
export const emitPerRecordMaxBytes = 64 * 1024 * 1024;

export class OutputOverrun {
  readonly #maxBytes: number;
  readonly #chain: readonly string[];
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  /** @param chain ids of the operators of the chain, for the message */
  constructor(maxBytes: number, chain: readonly string[]) {
    this.#maxBytes = maxBytes;
    this.#chain = chain;
  }

  /** A step begins: whatever was emitted before has been taken. */
  begin(): void {
    if (this.#bytes === 0) return;
    this.#bytes = 0;
    this.#bytesOf.clear();
  }

  /** Notes bytes that an operator handed on without room; an error when they are too many. */
  add(operatorId: string, bytes: number): EngineError | null {
    this.#bytes += bytes;
    this.#bytesOf.set(operatorId, (this.#bytesOf.get(operatorId) ?? 0) + bytes);
    return this.#bytes > this.#maxBytes ? this.#error() : null;
  }

  #error(): EngineError {
    const [operatorId, bytes] = [...this.#bytesOf].reduce((most, next) => (next[1] > most[1] ? next : most));
    const chain = this.#chain.length > 1 ? ` (in the chain ${this.#chain.join(', ')})` : '';
    const message =
      `operator '${operatorId}'${chain} emitted about ${this.#bytes} bytes for one record although there was no room, ` +
      `more than emitPerRecordMaxBytes (${this.#maxBytes}): emit less per record, or return the items from a flatMap as a generator, which waits for room`;
    return new EngineError('RECORD_TOO_LARGE', message, { ids: { operator: operatorId, bytes } });
  }
}
