/**
 * Bounds what one record may emit beyond the room there is. Room is asked for before a record, and what the record becomes
 * is taken whole (`channel.ts`); this counts the bytes handed on without room until the step is over and says when they are
 * too many. Counting costs nothing while there is room.
 */
import { EngineError } from '../../core/errors.ts';

/** Most that one record of the input may emit beyond the room there is, in bytes. */
export const emitPerRecordMaxBytes = 64 * 1024 * 1024;

/** What is asked of the operators of a chain. */
export interface OverrunLink {
  readonly operatorId: string;
  readonly operator: { readonly gates?: readonly { readonly emitted: number }[] };
}

export class OutputOverrun {
  readonly #maxBytes: number;
  readonly #chain: readonly OverrunLink[];
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  /** @param chain operators of the chain, for the message */
  constructor(maxBytes: number, chain: readonly OverrunLink[]) {
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

  /** The operator whose call has emitted most; where nobody has emitted several records, the one that handed on most bytes. */
  #cause(): string {
    let cause = '';
    let most = 1;
    for (const { operatorId, operator } of this.#chain) {
      for (const { emitted } of operator.gates ?? []) {
        if (emitted <= most) continue;
        cause = operatorId;
        most = emitted;
      }
    }
    if (cause !== '') return cause;
    return [...this.#bytesOf].reduce((heaviest, next) => (next[1] > heaviest[1] ? next : heaviest))[0];
  }

  #error(): EngineError {
    const operatorId = this.#cause();
    const bytes = this.#bytes;
    const chain =
      this.#chain.length > 1 ? ` (in the chain ${this.#chain.map((link) => link.operatorId).join(', ')})` : '';
    const message =
      `operator '${operatorId}'${chain} emitted about ${this.#bytes} bytes for one record although there was no room, ` +
      `more than emitPerRecordMaxBytes (${this.#maxBytes}): emit less per record, or return the items from a flatMap as a generator, which waits for room`;
    return new EngineError('RECORD_TOO_LARGE', message, { ids: { operator: operatorId, bytes } });
  }
}
