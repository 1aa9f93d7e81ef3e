/** What the merged watermark of a subtask is, recomputed from scratch at every event. The valve has to agree. */
export class ValveSpecification {
  readonly #channels: { watermark: number; status: 'active' | 'idle' | 'ended' }[];
  #watermark = Number.NEGATIVE_INFINITY;

  constructor(channelCount: number) {
    this.#channels = Array.from({ length: channelCount }, () => ({
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
    const of = (status: string): number[] =>
      this.#channels.filter((one) => one.status === status).map((one) => one.watermark);
    const [active, idle, ended] = [of('active'), of('idle'), of('ended')];
    const merged = active.length > 0 ? Math.min(...active) : Math.max(...(idle.length > 0 ? idle : ended));
    this.#watermark = Math.max(this.#watermark, merged);
    return { watermark: this.#watermark, idle: active.length === 0 && idle.length > 0 };
  }
}
