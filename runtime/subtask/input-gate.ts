/**
 * The inputs of a subtask: takes elements in turn from the channels that may be read now. A channel is not read while a
 * barrier has blocked it, and the main input of a broadcast-input operator not until its side has ended.
 */
import type { StreamElement } from '../../core/stream/batch.ts';
import type { ChannelReader } from '../exchange/channel.ts';

export interface InputChannel {
  readonly reader: ChannelReader;
  /** Input of the head operator: 0, or 1 for its second input (the side of a broadcast-input, the other side of a join). */
  readonly input: number;
  ended: boolean;
}

export class InputGate {
  readonly channels: readonly InputChannel[];
  readonly #isBlocked: (channel: number) => boolean;
  /** True while only the side input may be read. */
  sideFirst: boolean;
  #turn = 0;
  #open: number;
  /** Channel of the element `poll` returned last. */
  lastChannel = 0;

  /** @param isBlocked asked for a channel index before it is read */
  constructor(channels: readonly InputChannel[], sideFirst: boolean, isBlocked: (channel: number) => boolean) {
    this.channels = channels;
    this.sideFirst = sideFirst;
    this.#isBlocked = isBlocked;
    this.#open = channels.filter((channel) => !channel.ended).length;
  }

  get allEnded(): boolean {
    return this.#open === 0;
  }

  /** True when every channel of the side input has ended. */
  get sideEnded(): boolean {
    return this.channels.every((channel) => channel.input === 0 || channel.ended);
  }

  poll(): StreamElement | null {
    const count = this.channels.length;
    for (let step = 0; step < count; step++) {
      const index = (this.#turn + step) % count;
      const channel = this.channels[index];
      if (channel.ended || (this.sideFirst && channel.input === 0) || this.#isBlocked(index)) continue;
      const element = channel.reader.poll();
      if (element === null) continue;
      this.#turn = (index + 1) % count;
      this.lastChannel = index;
      return element;
    }
    return null;
  }

  markEnded(channel: number): void {
    this.channels[channel].ended = true;
    this.#open--;
  }
}
