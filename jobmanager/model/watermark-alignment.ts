/**
 * Watermark alignment across slots: every slot reports how far the slowest source of each group is there, and is answered
 * with how far the slowest one of all other slots is. Pure; the answer to a report depends on the reports before it only.
 *
 * Reports of one slot come in order, but may be lost. Time does not go back within an attempt (a split that is found later
 * may start behind the others, and lowers it again), so what is known of a slot is mostly too low and makes others wait too
 * long, never for ever: each slot reports again and again. A slot that has ended is waited for no longer. Nothing of this is
 * durable: a slot of a new attempt begins without reports, and without them nobody waits. @see FLIP-182
 */

/** How far a group is; Infinity: nobody counts. */
export interface AlignedGroup {
  readonly group: string;
  readonly watermarkMs: number;
}

/** What one slot of an attempt says. */
export interface AlignmentReported {
  readonly attempt: number;
  readonly slotIndex: number;
  readonly groups: readonly AlignedGroup[];
}

export class WatermarkAlignment {
  /** The attempt each slot is of. */
  readonly #attempts = new Map<number, number>();
  readonly #ended = new Set<number>();
  /** Group → slot → slowest source. */
  readonly #groups = new Map<string, Map<number, number>>();

  /** @returns for each group of the report the slowest source of all other slots; nothing for an attempt that is over */
  reported({ attempt, slotIndex, groups }: AlignmentReported): AlignedGroup[] {
    if (!this.#enter(attempt, slotIndex) || this.#ended.has(slotIndex)) return [];
    return groups.map(({ group, watermarkMs }) => {
      let slots = this.#groups.get(group);
      if (slots === undefined) {
        slots = new Map();
        this.#groups.set(group, slots);
      }
      // A number that is none would stop everybody.
      slots.set(slotIndex, Number.isNaN(watermarkMs) ? Number.POSITIVE_INFINITY : watermarkMs);
      return { group, watermarkMs: slowestOfOthers(slots, slotIndex) };
    });
  }

  /** Nobody waits for the slot any more. */
  slotEnded(attempt: number, slotIndex: number): void {
    if (!this.#enter(attempt, slotIndex)) return;
    this.#ended.add(slotIndex);
    for (const slots of this.#groups.values()) slots.delete(slotIndex);
  }

  /** These attempts are current from now on: nobody waits for a slot of another one. */
  attemptsStarted(attempts: readonly number[]): void {
    for (const [slotIndex, attempt] of this.#attempts) {
      if (attempts.includes(attempt)) continue;
      this.#attempts.delete(slotIndex);
      this.#ended.delete(slotIndex);
      for (const slots of this.#groups.values()) slots.delete(slotIndex);
    }
  }

  /** False for an attempt that is over. */
  #enter(attempt: number, slotIndex: number): boolean {
    const known = this.#attempts.get(slotIndex) ?? 0;
    if (attempt < known) return false;
    if (attempt === known) return true;
    this.#attempts.set(slotIndex, attempt);
    this.#ended.delete(slotIndex);
    for (const slots of this.#groups.values()) slots.delete(slotIndex);
    return true;
  }
}

function slowestOfOthers(slots: ReadonlyMap<number, number>, self: number): number {
  let slowest = Number.POSITIVE_INFINITY;
  for (const [slot, watermarkMs] of slots) if (slot !== self && watermarkMs < slowest) slowest = watermarkMs;
  return slowest;
}
