/**
 * A channel between two subtasks of one attempt: in order, with delay, and never more in flight than the real credit
 * ledgers allow.
 */
import { ReceiverCredit, SenderCredit } from '../../runtime/exchange/credit.ts';
import type { Process, World } from './world.ts';

export type SimulatedElement =
  | { readonly kind: 'record'; readonly split: number; readonly key: string; readonly timestamp: number }
  | { readonly kind: 'split'; readonly split: number }
  | {
      readonly kind: 'committable';
      readonly checkpointId: number;
      readonly subtaskIndex: number;
      readonly data: unknown;
    }
  | { readonly kind: 'watermark'; readonly watermark: number }
  | { readonly kind: 'idle'; readonly idle: boolean }
  | { readonly kind: 'barrier'; readonly checkpointId: number }
  | { readonly kind: 'end' };

const bytesOf = (element: SimulatedElement): number => (element.kind === 'record' ? 6 : 2);

export class SimulatedChannel {
  readonly #world: World;
  readonly #sender = new SenderCredit();
  readonly #receiver: ReceiverCredit;
  readonly #unsent: SimulatedElement[] = [];
  readonly #arrived: SimulatedElement[] = [];
  readonly #delayMsMax: number;
  readonly #random;
  #lastArrivalMs = 0;
  /** Where the two ends live; elements that arrive at a dead process are gone. */
  sender: { process: Process; wake: () => void } | null = null;
  receiver: { process: Process; wake: () => void } | null = null;
  /** True for a channel whose sending subtask was finished before the attempt began. */
  readonly endedAtStart: boolean;

  constructor(world: World, name: string, options: { readonly delayMsMax: number; readonly endedAtStart: boolean }) {
    this.#world = world;
    this.#random = world.random(`channel ${name}`);
    this.#delayMsMax = options.delayMsMax;
    this.endedAtStart = options.endedAtStart;
    this.#receiver = new ReceiverCredit(world.configuration.creditBytes);
    this.#sender.open(world.configuration.creditBytes);
  }

  get hasRoom(): boolean {
    return this.#unsent.length === 0 && this.#sender.hasRoom;
  }

  get queuedCount(): number {
    return this.#arrived.length;
  }

  write(element: SimulatedElement): void {
    this.#unsent.push(element);
    this.#send();
  }

  poll(): SimulatedElement | null {
    const element = this.#arrived.shift();
    if (element === undefined) return null;
    this.#receiver.taken(bytesOf(element));
    const grant = this.#receiver.takeGrant();
    if (grant > 0 && this.sender !== null) {
      this.#world.schedule(this.#delay(), this.sender.process, 'credit', () => {
        this.#sender.grant(grant);
        this.#send();
        this.sender?.wake();
      });
    }
    return element;
  }

  #delay(): number {
    return this.#random.between(0, this.#delayMsMax);
  }

  #send(): void {
    while (this.#unsent.length > 0 && this.#sender.hasRoom) {
      const element = this.#unsent.shift() as SimulatedElement;
      this.#sender.spend(bytesOf(element));
      const atMs = Math.max(this.#lastArrivalMs, this.#world.nowMs + this.#delay());
      this.#lastArrivalMs = atMs;
      this.#inFlight.push(element);
      // Events of one channel take what is oldest, so that equal times cannot reorder them.
      this.#world.schedule(atMs - this.#world.nowMs, null, 'arrives', () => this.#arrive());
    }
  }

  readonly #inFlight: SimulatedElement[] = [];

  #arrive(): void {
    const element = this.#inFlight.shift() as SimulatedElement;
    this.#receiver.received(bytesOf(element), false);
    const { creditBytes } = this.#world.configuration;
    this.#world.check(
      this.#receiver.queuedBytes < creditBytes + 6,
      () => `${this.#receiver.queuedBytes} bytes queued with a window of ${creditBytes}`,
    );
    this.#arrived.push(element);
    if (this.receiver?.process.alive === true) this.receiver.wake();
  }
}
