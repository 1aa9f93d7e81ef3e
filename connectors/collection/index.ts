/**
 * `collection(values)`: the values of an array as records, for tests and examples. The values are part of the job definition,
 * which every slot runs again, so nothing is shipped but code; a definition that makes other values elsewhere breaks the recovery.
 */
import type { PlainData, Source, SourceBatch, SourceReader, SplitCursor } from '../../core/connector/index.ts';
import { FixedPlanner } from './fixed-planner.ts';

/** Options of {@link collection}. */
export interface CollectionOptions<T> {
  /** Event time of a record in epoch ms. Without it records have none until `withTimestamps`. */
  readonly timestampOf?: (value: T) => number;
}

const splitName = 'collection';

class CollectionCursor<T> implements SplitCursor<T> {
  readonly #values: readonly T[];
  readonly #timestampOf: ((value: T) => number) | null;
  #next: number;
  #batchStart: number;

  constructor(values: readonly T[], next: number, timestampOf: ((value: T) => number) | null) {
    this.#values = values;
    this.#timestampOf = timestampOf;
    this.#next = next;
    this.#batchStart = next;
  }

  get ended(): boolean {
    return this.#next >= this.#values.length;
  }

  poll(recordsMax: number): SourceBatch<T> | null {
    if (this.ended) return null;
    const values = this.#values.slice(this.#next, this.#next + recordsMax);
    this.#batchStart = this.#next;
    this.#next += values.length;
    return { values, timestamps: this.#timestampOf === null ? null : Float64Array.from(values, this.#timestampOf) };
  }

  async ready(): Promise<void> {}

  position(consumed: number): PlainData {
    return { next: this.#batchStart + consumed };
  }

  async close(): Promise<void> {}
}

class CollectionReader<T> implements SourceReader<T, string> {
  readonly #values: readonly T[];
  readonly #options: CollectionOptions<T>;

  constructor(values: readonly T[], options: CollectionOptions<T>) {
    this.#values = values;
    this.#options = options;
  }

  async openSplit(_split: string, position: PlainData | undefined): Promise<SplitCursor<T>> {
    const next = position === undefined ? 0 : (position as { next: number }).next;
    return new CollectionCursor(this.#values, next, this.#options.timestampOf ?? null);
  }

  async close(): Promise<void> {}
}

/** A bounded source of one split with the values of an array, in its order. The array must not change afterwards. */
export function collection<T>(values: readonly T[], options: CollectionOptions<T> = {}): Source<T, string> {
  return {
    type: 'source',
    kind: 'collection',
    options: { count: values.length, hasTimestamps: options.timestampOf !== undefined },
    boundedness: 'bounded',
    openSplitsMax: 1,
    splitId: (split) => split,
    createPlanner: () => new FixedPlanner([splitName]),
    createReader: () => new CollectionReader(values, options),
  };
}
