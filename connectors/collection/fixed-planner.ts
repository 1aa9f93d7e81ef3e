/** Planner of a source whose splits are known beforehand: hands them out once. */
import type { PlainData, PlannedSplits, SplitPlanner } from '../../core/connector/index.ts';

export class FixedPlanner<Split> implements SplitPlanner<Split> {
  readonly #splits: readonly Split[];
  #planned = false;

  constructor(splits: readonly Split[]) {
    this.#splits = splits;
  }

  async open(restored: PlainData | undefined): Promise<void> {
    this.#planned = (restored as { planned?: boolean } | undefined)?.planned === true;
  }

  async next(): Promise<PlannedSplits<Split>> {
    const splits = this.#planned ? [] : this.#splits;
    this.#planned = true;
    return { splits, done: true };
  }

  snapshot(): PlainData {
    return { planned: this.#planned };
  }

  async close(): Promise<void> {}
}
