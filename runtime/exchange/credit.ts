/**
 * Credit of one channel, as two ledgers that never meet: the sender counts down what it may still send, the receiver counts
 * what it holds and gives credit back when an element is taken. Pure, so the simulator runs the same code.
 *
 * The unit is bytes of the wire. A sender that has any credit may send one whole batch, so it may go below zero once and
 * then waits: a batch larger than the window still passes, and nobody has to know its size before it is encoded.
 *
 *   sender:   available = window - sent + granted            may send while available > 0
 *   receiver: outstanding + queued + owed = window           queued < window + one batch
 *
 * Architecture invariant: the receiver checks the sender. It granted no less than the sender knows of, so a batch that
 * starts while `outstanding <= 0` was sent without credit, and the connection is refused as broken.
 */
import { assert, EngineError } from '../../core/errors.ts';

/** What a sender may still send on one channel. */
export class SenderCredit {
  #available = 0;
  #window = 0;

  /** Bytes; negative after an overdraft. */
  get available(): number {
    return this.#available;
  }

  /** True while a batch may be sent. */
  get hasRoom(): boolean {
    return this.#available > 0;
  }

  /** The receiver has said how much it holds for this channel. Once per connection. */
  open(windowBytes: number): void {
    assert(this.#window === 0 && windowBytes > 0, 'credit of a channel is opened once, with a positive window');
    this.#window = windowBytes;
    this.#available = windowBytes;
  }

  /** Counts a batch of `bytes` as sent. */
  spend(bytes: number): void {
    assert(this.#available > 0, 'a batch was sent without credit');
    this.#available -= bytes;
  }

  /**
   * The receiver gave credit back.
   * @throws EngineError PROTOCOL when that is more than was ever spent
   */
  grant(bytes: number): void {
    if (bytes <= 0 || this.#available + bytes > this.#window) {
      throw new EngineError(
        'PROTOCOL',
        `credit of ${bytes} bytes exceeds what is outstanding (${this.#window - this.#available})`,
        {
          domain: 'internal',
          retry: 'backoff',
        },
      );
    }
    this.#available += bytes;
  }
}

/** Share of the window that is owed before a grant is worth a frame. */
const grantFraction = 4;

/** What a receiver holds of one channel, and what it owes the sender. */
export class ReceiverCredit {
  #outstanding: number;
  #queued = 0;
  #owed = 0;
  readonly #grantFromBytes: number;

  /** @param windowBytes bytes the sender may send before the first grant, at least 1 */
  constructor(windowBytes: number) {
    assert(windowBytes > 0, 'the credit window is positive');
    this.#outstanding = windowBytes;
    this.#grantFromBytes = Math.ceil(windowBytes / grantFraction);
  }

  /** Bytes received and not yet taken. */
  get queuedBytes(): number {
    return this.#queued;
  }

  /** Bytes the sender may still send, as far as the receiver knows; negative after an overdraft. */
  get outstandingBytes(): number {
    return this.#outstanding;
  }

  /**
   * Counts received bytes.
   * @param continued true for the second and later frames of one batch: they belong to the same overdraft
   * @throws EngineError PROTOCOL when the sender had no credit
   */
  received(bytes: number, continued: boolean): void {
    if (!continued && this.#outstanding <= 0) {
      throw new EngineError(
        'PROTOCOL',
        `a batch of ${bytes} bytes came without credit (${this.#outstanding} bytes outstanding)`,
        {
          domain: 'internal',
          retry: 'backoff',
        },
      );
    }
    this.#outstanding -= bytes;
    this.#queued += bytes;
  }

  /** Counts bytes as taken by the reader. */
  taken(bytes: number): void {
    assert(bytes <= this.#queued, 'more bytes taken than queued');
    this.#queued -= bytes;
    this.#owed += bytes;
  }

  /** Bytes to grant now, 0 while it is not worth a frame. The caller must send what is returned. */
  takeGrant(): number {
    if (this.#owed < this.#grantFromBytes) return 0;
    const grant = this.#owed;
    this.#owed = 0;
    this.#outstanding += grant;
    return grant;
  }
}
