/**
 * Merges the watermarks of the input channels of a subtask. Pure and synchronous. The whole meaning, of which the property
 * test has a copy that recomputes everything from scratch:
 *
 * - some channel is active:        the minimum over active channels
 * - none active, some idle:        the maximum over idle channels, and the output is idle. Whatever the order in which they
 *                                  became idle, the result is the same (FLINK-38454)
 * - all ended:                     the maximum over all channels
 * - the output never goes back:    a channel that wakes up behind the output holds it where it is until it has caught up
 *
 * An ended channel no longer holds anything back, and does not count in the maximum over idle channels either: its final
 * watermark is +Infinity, and a channel that is only idle may bring records again.
 *
 * Differs from Flink, where a channel that wakes up behind the output is ignored until it has caught up: there the others
 * may meanwhile purge windows its on-time records belong to.
 */
import { assert } from '../../core/errors.ts';
import { minWatermark } from '../../core/stream/batch.ts';

type ChannelStatus = 'active' | 'idle' | 'ended';

export class WatermarkValve {
  readonly #watermarks: Float64Array;
  readonly #statuses: ChannelStatus[];
  #watermark = minWatermark;
  #idle = false;

  /** @param channelCount input channels; without any the watermark never moves */
  constructor(channelCount: number) {
    this.#watermarks = new Float64Array(channelCount).fill(minWatermark);
    this.#statuses = new Array<ChannelStatus>(channelCount).fill('active');
  }

  /** The merged watermark; never goes back. */
  get current(): number {
    return this.#watermark;
  }

  /** True when no channel is active and at least one may become active again. */
  get isIdle(): boolean {
    return this.#idle;
  }

  /** `channel` says that nothing at or before `watermark` follows. Returns whether the merged watermark moved. */
  watermark(channel: number, watermark: number): boolean {
    assert(!Number.isNaN(watermark), 'a watermark is a number');
    const old = this.#watermarks[channel] ?? watermark;
    if (watermark <= old) return false;
    this.#watermarks[channel] = watermark;
    // A channel ahead of the merged minimum cannot have been what held it back.
    if (this.#statuses[channel] === 'active' && old > this.#watermark) return false;
    return this.#merge();
  }

  /** `channel` has no records for now (true) or has again (false). Returns whether the merged watermark or status changed. */
  idle(channel: number, idle: boolean): boolean {
    assert(this.#statuses[channel] !== 'ended', `channel ${channel} has no status after its end`);
    this.#statuses[channel] = idle ? 'idle' : 'active';
    return this.#merge();
  }

  /** Nothing more comes on `channel`. Returns whether the merged watermark or status changed. */
  ended(channel: number): boolean {
    this.#statuses[channel] = 'ended';
    return this.#merge();
  }

  #merge(): boolean {
    let activeCount = 0;
    let idleCount = 0;
    let minActive = Number.POSITIVE_INFINITY;
    let maxIdle = minWatermark;
    let maxEnded = minWatermark;
    for (let channel = 0; channel < this.#statuses.length; channel++) {
      const watermark = this.#watermarks[channel] ?? minWatermark;
      const status = this.#statuses[channel];
      if (status === 'active') {
        activeCount++;
        if (watermark < minActive) minActive = watermark;
      } else if (status === 'idle') {
        idleCount++;
        if (watermark > maxIdle) maxIdle = watermark;
      } else if (watermark > maxEnded) maxEnded = watermark;
    }
    const merged = activeCount > 0 ? minActive : idleCount > 0 ? maxIdle : maxEnded;
    const idle = activeCount === 0 && idleCount > 0;
    const changed = merged > this.#watermark || idle !== this.#idle;
    if (merged > this.#watermark) this.#watermark = merged;
    this.#idle = idle;
    return changed;
  }
}
