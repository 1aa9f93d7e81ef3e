/**
 * Merges the watermarks of the input channels of a subtask. Pure and synchronous. The whole meaning, of which the property
 * test has a copy that recomputes everything from scratch:
 *
 * - an idle channel is *stale* when an active channel says that it will wake, or an ended one that it will end
 *   (`wakesWith`, `endsWith` of its group; ADR-0016)
 * - some channel is active:        the minimum over active and stale channels
 * - none active, some idle:        the maximum over idle channels, each at most as far as those that wake with it, and no
 *                                  further than stale ones; the output is idle. Whatever the order in which they became
 *                                  idle, the result is the same (FLINK-38454)
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

/** Channels whose idleness depends on the same upstream subtasks: those of one edge. */
export interface ValveGroup {
  /** While a channel of these groups is active, the idle ones of this group are about to wake. Itself where siblings wake together. */
  readonly wakesWith: readonly number[];
  /** When a channel of these groups has ended, the idle ones of this group are about to end. */
  readonly endsWith: readonly number[];
}

/** What channels say about each other. */
export interface ValveLayout {
  /** Group of each channel. */
  readonly groupOf: readonly number[];
  readonly groups: readonly ValveGroup[];
}

/** Channels of a group, summed up anew at every merge. */
interface GroupState {
  activeCount: number;
  idleCount: number;
  endedCount: number;
  minIdle: number;
  maxIdle: number;
}

export class WatermarkValve {
  readonly #watermarks: Float64Array;
  readonly #statuses: ChannelStatus[];
  readonly #layout: ValveLayout;
  readonly #groups: GroupState[];
  #watermark = minWatermark;
  #idle = false;

  /**
   * @param channelCount input channels; without any the watermark never moves
   * @param layout which of them wake and end together; by default every channel for itself
   */
  constructor(channelCount: number, layout: ValveLayout = independent(channelCount)) {
    assert(layout.groupOf.length === channelCount, 'a layout has every channel of the valve');
    this.#layout = layout;
    this.#groups = layout.groups.map(() => ({ activeCount: 0, idleCount: 0, endedCount: 0, minIdle: 0, maxIdle: 0 }));
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
    let minActive = Number.POSITIVE_INFINITY;
    let maxEnded = minWatermark;
    for (const group of this.#groups) reset(group);
    for (let channel = 0; channel < this.#statuses.length; channel++) {
      const watermark = this.#watermarks[channel] ?? minWatermark;
      const group = this.#groups[this.#layout.groupOf[channel] as number] as GroupState;
      const status = this.#statuses[channel];
      if (status === 'active') {
        group.activeCount++;
        if (watermark < minActive) minActive = watermark;
      } else if (status === 'idle') {
        group.idleCount++;
        if (watermark < group.minIdle) group.minIdle = watermark;
        if (watermark > group.maxIdle) group.maxIdle = watermark;
      } else {
        group.endedCount++;
        if (watermark > maxEnded) maxEnded = watermark;
      }
    }
    const activeCount = this.#groups.reduce((sum, group) => sum + group.activeCount, 0);
    const idleCount = this.#groups.reduce((sum, group) => sum + group.idleCount, 0);
    const stale = idleCount === 0 ? Number.POSITIVE_INFINITY : this.#minStale();
    const merged = activeCount > 0 ? minActive : idleCount > 0 ? this.#maxIdle() : maxEnded;
    return this.#moved(Math.min(merged, stale), activeCount === 0 && idleCount > 0);
  }

  #moved(merged: number, idle: boolean): boolean {
    const changed = merged > this.#watermark || idle !== this.#idle;
    if (merged > this.#watermark) this.#watermark = merged;
    this.#idle = idle;
    return changed;
  }

  /** The least watermark of channels that only still count as idle; Infinity when there is none. */
  #minStale(): number {
    let least = Number.POSITIVE_INFINITY;
    this.#groups.forEach((group, index) => {
      if (group.idleCount === 0 || group.minIdle >= least) return;
      const { wakesWith, endsWith } = this.#layout.groups[index] as ValveGroup;
      const stale =
        wakesWith.some((other) => (this.#groups[other] as GroupState).activeCount > 0) ||
        endsWith.some((other) => (this.#groups[other] as GroupState).endedCount > 0);
      if (stale) least = group.minIdle;
    });
    return least;
  }

  /**
   * The greatest watermark of idle channels. One that has been awake and is idle again must not be ahead of those that wake
   * with it: they may not even have heard of it.
   */
  #maxIdle(): number {
    let greatest = minWatermark;
    this.#groups.forEach(({ idleCount, maxIdle }, index) => {
      if (idleCount === 0) return;
      let watermark = maxIdle;
      this.#groups.forEach((other, otherIndex) => {
        const { wakesWith } = this.#layout.groups[otherIndex] as ValveGroup;
        if (other.idleCount > 0 && wakesWith.includes(index)) watermark = Math.min(watermark, other.minIdle);
      });
      greatest = Math.max(greatest, watermark);
    });
    return greatest;
  }
}

function reset(group: GroupState): void {
  group.activeCount = 0;
  group.idleCount = 0;
  group.endedCount = 0;
  group.minIdle = Number.POSITIVE_INFINITY;
  group.maxIdle = minWatermark;
}

/** Every channel may be idle on its own. */
function independent(channelCount: number): ValveLayout {
  return { groupOf: new Array<number>(channelCount).fill(0), groups: [{ wakesWith: [], endsWith: [] }] };
}
