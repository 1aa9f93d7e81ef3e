/** `millrace/generator`: made-up records, the same ones in every run, as fast as possible or at a rate. */
import { EngineError } from '../../core/connector/index.ts';
import type {
  ConnectorContext,
  JsonObject,
  PlainData,
  Source,
  SourceReader,
  SplitCursor,
} from '../../core/connector/index.ts';
import { FixedPlanner } from '../collection/fixed-planner.ts';
import { GeneratorCursor } from './generator-cursor.ts';
import type { GeneratorPlan, GeneratorPosition, GeneratorTime } from './generator-cursor.ts';
import type { RecordRandom } from './random.ts';
import { systemTime } from './system-time.ts';

export type { RecordRandom } from './random.ts';

/** What {@link generator} makes, how much of it, and how fast. Part of the graph hash, without the functions. */
export interface GeneratorOptions<T> {
  /** Records in all; without it the stream never ends. */
  readonly count?: number;
  /** An integer of at least 0; another seed gives other random numbers. Default 0. */
  readonly seed?: number;
  /** Records per second of all splits together. Default: as fast as possible. */
  readonly ratePerSecond?: number;
  /** Parts that can be read in parallel; part `s` has the records `s`, `s + splits`, `s + 2 × splits` … Default 1. */
  readonly splits?: number;
  /**
   * The record with a number, 0 to `count - 1`. Called again for the same number after a recovery, so it must be pure: whatever is
   * random comes from `random`, which is the same for the same seed and number. `random` is valid during the call only.
   */
  make(index: number, random: RecordRandom): T;
  /** Event time of a record in epoch ms. Without it records have none until `withTimestamps`. */
  readonly timestampOf?: (record: T, index: number) => number;
}

/** One of the parts a generator is read in. */
export interface GeneratorSplit {
  readonly split: number;
}

class GeneratorReader<T> implements SourceReader<T, GeneratorSplit> {
  readonly #plan: GeneratorPlan<T>;
  readonly #context: ConnectorContext;
  readonly #time: GeneratorTime;

  constructor(plan: GeneratorPlan<T>, context: ConnectorContext, time: GeneratorTime) {
    this.#plan = plan;
    this.#context = context;
    this.#time = time;
  }

  async openSplit({ split }: GeneratorSplit, restored: PlainData | undefined): Promise<SplitCursor<T>> {
    const position =
      restored === undefined ? { next: 0, startMs: this.#time.nowMs() } : (restored as GeneratorPosition);
    return new GeneratorCursor(this.#plan, { split, position, time: this.#time, signal: this.#context.signal });
  }

  async close(): Promise<void> {}
}

/** A source of made-up records. The same options give the same records, whatever the parallelism, also after a recovery. */
export function generator<T>(options: GeneratorOptions<T>): Source<T, GeneratorSplit> {
  return timedGenerator(options, systemTime);
}

/**
 * {@link generator} with its own clock, for tests.
 * @internal
 */
export function timedGenerator<T>(options: GeneratorOptions<T>, time: GeneratorTime): Source<T, GeneratorSplit> {
  const { count = Number.POSITIVE_INFINITY, seed = 0, ratePerSecond = null, splits = 1, timestampOf = null } = options;
  requireOption('count', count, count === Number.POSITIVE_INFINITY || isCount(count));
  requireOption('seed', seed, isCount(seed));
  requireOption('splits', splits, isCount(splits) && splits >= 1);
  requireOption('ratePerSecond', ratePerSecond, ratePerSecond === null || ratePerSecond > 0);
  const plan: GeneratorPlan<T> = {
    count,
    seed,
    ratePerSecond,
    splits,
    timestampOf,
    make: (index, random) => options.make(index, random),
  };
  const bounded = Number.isFinite(count);
  const hashed: JsonObject = {
    count: bounded ? count : null,
    seed,
    ratePerSecond,
    splits,
    hasTimestamps: timestampOf !== null,
  };
  return {
    type: 'source',
    kind: 'generator',
    options: hashed,
    boundedness: bounded ? 'bounded' : 'unbounded',
    openSplitsMax: Number.POSITIVE_INFINITY,
    splitId: ({ split }) => `generator-${split}`,
    createPlanner: () => new FixedPlanner(Array.from({ length: splits }, (_, split) => ({ split }))),
    createReader: (context) => new GeneratorReader(plan, context, time),
  };
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function requireOption(name: string, value: number | null, valid: boolean): void {
  if (!valid)
    throw new EngineError(
      'USAGE',
      `generator: the option ${name} cannot be ${value}. It is a number, counts are integers of at least 0.`,
    );
}
