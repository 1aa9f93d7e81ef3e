/**
 * Aligned barriers of one subtask: decides which input channels must wait and when the subtask takes its snapshot.
 * Pure and synchronous (Chandy-Lamport; Flink's aligned barrier handler without its timers).
 *
 * Barriers arrive in two ways. On a channel, between the records of that channel. And announced by the control plane, for
 * subtasks that no barrier can reach: roots, and subtasks whose inputs have all ended. An announcement never blocks
 * anything and never overtakes a live channel: while one channel lives, only barriers on channels complete the alignment.
 *
 *   live channel       records … barrier n  → blocked until every channel has barrier n or has ended
 *   ended channel      counts as aligned for every checkpoint
 *   all ended          the announcement of n is enough; so are announcements that came before the last end
 *
 * What must stay true, and is not visible here:
 * - A subtask sends `end` only after everything it will ever send, and no barrier after it. A sink writer hands over its
 *   last committables when its own input has ended, and then sends `end`; so they precede every snapshot of the committer
 *   that follows its end (FLINK-38614: end of data overtook them).
 * - One checkpoint is in flight. So whatever names a newer checkpoint proves that an older pending one is over.
 */
import { assert } from '../../core/errors.ts';

/** The subtask takes its snapshot now: nothing of a channel is read until it has. */
export interface SnapshotDecision {
  readonly checkpointId: number;
  /** The snapshot follows the end of all input: the subtask may leave when this checkpoint completes. */
  readonly afterEnd: boolean;
}

const none = -1;

export class BarrierAligner {
  readonly #arrived: boolean[];
  readonly #ended: boolean[];
  #liveCount: number;
  #ownInputEnded: boolean;
  /** Checkpoint being aligned, or -1. */
  #pending = none;
  /** Newest checkpoint that is over for this subtask: taken, aborted or superseded. Its barriers mean nothing any more. */
  #settled = none;

  /**
   * @param channelCount input channels, 0 for a root
   * @param options `hasOwnInput`: the head reads records that no channel brings (a source): then the ends of all channels
   *   are not the end of input, `ownInputEnded` is
   */
  constructor(channelCount: number, options: { readonly hasOwnInput: boolean }) {
    assert(channelCount > 0 || options.hasOwnInput, 'a subtask without channels has input of its own');
    this.#arrived = new Array<boolean>(channelCount).fill(false);
    this.#ended = new Array<boolean>(channelCount).fill(false);
    this.#liveCount = channelCount;
    this.#ownInputEnded = !options.hasOwnInput;
  }

  /** True while the next element of the channel must wait for the alignment. */
  isBlocked(channel: number): boolean {
    return this.#pending !== none && this.#arrived[channel] === true;
  }

  /** Checkpoint being aligned, or null. */
  get pendingCheckpointId(): number | null {
    return this.#pending === none ? null : this.#pending;
  }

  /** True when no record will come any more, on any channel or from the head itself. */
  get inputEnded(): boolean {
    return this.#liveCount === 0 && this.#ownInputEnded;
  }

  /** Channel `channel` brought the barrier of checkpoint `id`. */
  barrier(channel: number, id: number): SnapshotDecision | null {
    assert(this.#ended[channel] === false, `channel ${channel} brings no barrier ${id} after its end`);
    assert(!this.isBlocked(channel), `channel ${channel} is not read while it is blocked`);
    if (!this.#startOrJoin(id)) return null;
    this.#arrived[channel] = true;
    return this.#decide();
  }

  /** The control plane has triggered checkpoint `id`. */
  announced(id: number): SnapshotDecision | null {
    return this.#startOrJoin(id) ? this.#decide() : null;
  }

  /** Nothing more comes on `channel`. */
  ended(channel: number): SnapshotDecision | null {
    assert(this.#ended[channel] === false, `channel ${channel} ends once`);
    this.#ended[channel] = true;
    this.#liveCount--;
    return this.#decide();
  }

  /** The head has handed out the last record of its own input. */
  ownInputEnded(): void {
    this.#ownInputEnded = true;
  }

  /** Checkpoint `id` will not complete. Frees what it blocked; barriers of it that are still on their way are ignored. */
  aborted(id: number): void {
    this.#settle(id);
  }

  /** False when `id` is over already; else `id` is the pending checkpoint afterwards. */
  #startOrJoin(id: number): boolean {
    assert(Number.isSafeInteger(id) && id > 0, `checkpoint id ${id} is a positive whole number`);
    if (id <= this.#settled || id < this.#pending) return false;
    if (id === this.#pending) return true;
    if (this.#pending !== none) this.#settle(this.#pending);
    this.#pending = id;
    return true;
  }

  #settle(id: number): void {
    if (id > this.#settled) this.#settled = id;
    if (this.#pending === none || this.#pending > id) return;
    this.#pending = none;
    this.#arrived.fill(false);
  }

  #decide(): SnapshotDecision | null {
    const checkpointId = this.#pending;
    if (checkpointId === none) return null;
    for (let channel = 0; channel < this.#arrived.length; channel++) {
      if (this.#arrived[channel] === false && this.#ended[channel] === false) return null;
    }
    this.#settle(checkpointId);
    return { checkpointId, afterEnd: this.inputEnded };
  }
}
