/**
 * What the merged watermark of a subtask is, recomputed from scratch at every event, channel by channel. The valve has to
 * agree.
 */
import type { ValveLayout } from '../../runtime/time/watermark-valve.ts';

interface Channel {
  readonly group: number;
  watermark: number;
  status: 'active' | 'idle' | 'ended';
}

export class ValveSpecification {
  readonly #channels: readonly Channel[];
  readonly #layout: ValveLayout | null;
  #watermark = Number.NEGATIVE_INFINITY;

  /** @param layout which channels wake and end together; null: every one for itself */
  constructor(channelCount: number, layout: ValveLayout | null = null) {
    this.#layout = layout;
    this.#channels = Array.from({ length: channelCount }, (_, channel) => ({
      group: layout?.groupOf[channel] ?? 0,
      watermark: Number.NEGATIVE_INFINITY,
      status: 'active',
    }));
  }

  watermark(channel: number, watermark: number): void {
    const one = this.#channels[channel];
    if (one !== undefined) one.watermark = Math.max(one.watermark, watermark);
  }

  idle(channel: number, idle: boolean): void {
    const one = this.#channels[channel];
    if (one !== undefined) one.status = idle ? 'idle' : 'active';
  }

  ended(channel: number): void {
    const one = this.#channels[channel];
    if (one !== undefined) one.status = 'ended';
  }

  get current(): { readonly watermark: number; readonly idle: boolean } {
    const of = (status: string): Channel[] => this.#channels.filter((one) => one.status === status);
    const [active, idle, ended] = [of('active'), of('idle'), of('ended')];
    const least = (channels: readonly Channel[]): number => Math.min(...channels.map((one) => one.watermark));
    // An idle channel is only still idle when another one shows that it is about to wake or to end.
    const stale = idle.filter(
      (one) =>
        active.some((other) => this.#wakes(one, other)) ||
        ended.some((other) => this.#layout?.groups[one.group]?.endsWith.includes(other.group)),
    );
    const idleTogether = idle.map((one) => least([one, ...idle.filter((other) => this.#wakes(other, one))]));
    const greatest = Math.max(...(idle.length > 0 ? idleTogether : ended.map((one) => one.watermark)));
    const merged = Math.min(active.length > 0 ? least(active) : greatest, least(stale));
    this.#watermark = Math.max(this.#watermark, merged);
    return { watermark: this.#watermark, idle: active.length === 0 && idle.length > 0 };
  }

  #wakes(one: Channel, when: Channel): boolean {
    return this.#layout?.groups[one.group]?.wakesWith.includes(when.group) ?? false;
  }
}
