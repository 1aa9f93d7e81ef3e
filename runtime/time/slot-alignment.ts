/**
 * Watermark alignment within a slot: source readers of a group tell how far their slowest split is, and are told how far
 * they may read. What the other slots are at comes from the job manager (`jobmanager/model/watermark-alignment.ts`).
 *
 * limit of a reader = min(slowest reader of this slot, slowest of all other slots) + its `maxDrift`. Drift 0 or more, so the
 * slowest split is never above the limit of its own slot. What is known of other slots is never newer than the truth: a
 * report that is lost or late makes a slot wait longer, and the next one lets it go on.
 *
 * A reader counts while it has a split that is read or about to be. Splits that are idle, have ended, or wait for their turn
 * do not: nobody should wait for what is not being read. @see FLIP-182, FLIP-217
 */
import type { AlignmentSettings } from '../../core/watermarks.ts';

/** How far a group is: what a slot reports, and what it is told of the others. Infinity: nobody counts. */
export interface GroupProgress {
  readonly group: string;
  readonly watermarkMs: number;
}

/** One reader of a group. */
export class AlignmentMember {
  readonly #group: Group;
  readonly #maxDriftMs: number;
  readonly #wake: () => void;
  watermarkMs = Number.POSITIVE_INFINITY;
  #paused = false;

  constructor(group: Group, maxDriftMs: number, wake: () => void) {
    this.#group = group;
    this.#maxDriftMs = maxDriftMs;
    this.#wake = wake;
  }

  /** A split whose watermark is above this is not read. */
  get limitMs(): number {
    return this.#group.slowestMs + this.#maxDriftMs;
  }

  /** @param watermarkMs of its slowest split; Infinity while none counts */
  progressed(watermarkMs: number): void {
    if (watermarkMs === this.watermarkMs) return;
    this.watermarkMs = watermarkMs;
    this.#group.update();
  }

  /** Asks to be woken when the limit rises. */
  pause(): void {
    this.#paused = true;
  }

  /** The limit has risen. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#wake();
  }
}

class Group {
  readonly members: AlignmentMember[] = [];
  slowestMs = Number.POSITIVE_INFINITY;
  #othersMs = Number.POSITIVE_INFINITY;

  get slowestHereMs(): number {
    return this.members.reduce((least, member) => Math.min(least, member.watermarkMs), Number.POSITIVE_INFINITY);
  }

  set othersMs(watermarkMs: number) {
    this.#othersMs = watermarkMs;
    this.update();
  }

  update(): void {
    const before = this.slowestMs;
    this.slowestMs = Math.min(this.slowestHereMs, this.#othersMs);
    if (this.slowestMs > before) for (const member of this.members) member.resume();
  }
}

/** The alignment groups of a slot, by name. */
export class SlotAlignment {
  readonly #groups = new Map<string, Group>();
  /** How often this slot tells the others, in ms; null: it has no group. */
  updateIntervalMs: number | null = null;

  /** @param wake called when a reader that paused may read on */
  join({ group: name, maxDriftMs, updateIntervalMs }: AlignmentSettings, wake: () => void): AlignmentMember {
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = new Group();
      this.#groups.set(name, group);
    }
    const member = new AlignmentMember(group, maxDriftMs, wake);
    group.members.push(member);
    this.updateIntervalMs = Math.min(this.updateIntervalMs ?? updateIntervalMs, updateIntervalMs);
    return member;
  }

  /** How far each group is in this slot. */
  report(): GroupProgress[] {
    return [...this.#groups].map(([group, { slowestHereMs }]) => ({ group, watermarkMs: slowestHereMs }));
  }

  /** How far each group is in all other slots; a group that is not named stays as it is known. */
  others(progress: readonly GroupProgress[]): void {
    for (const { group: name, watermarkMs } of progress) {
      const group = this.#groups.get(name);
      if (group !== undefined) group.othersMs = watermarkMs;
    }
  }
}
