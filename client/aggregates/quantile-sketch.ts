/**
 * Quantiles within a relative error from a DDSketch (Masson, Rim, Lee, VLDB 2019; library @datadog/sketches-js): bins of
 * geometrically growing width, so state is small however many records there are.
 *
 * Of the library only the bins and the mapping are used. Its `merge` leaves out negative numbers and misplaces bins next to
 * bin 0, its protobuf form loses minimum and maximum, and NaN counts as 0: merging, plain data and rank are done here.
 */
import { DDSketch } from '@datadog/sketches-js';
import type { Aggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import { objectAggregate } from './aggregate-of.ts';
import { type NearestRank, nearestRank } from './nearest-rank.ts';

type Store = DDSketch['store'];

/** Counts of neighbouring bins, the first of them not 0. */
interface PlainBins {
  readonly firstKey: number;
  readonly counts: Float64Array;
}

interface PlainSketch {
  readonly min: number;
  readonly max: number;
  readonly zeroCount: number;
  readonly positive: PlainBins;
  readonly negative: PlainBins;
}

/**
 * The p-quantile by nearest rank, within a relative error of the exact number. Independent of the order of arrival.
 * @param p       above 0, at most 1
 * @param select  the number of a record; NaN and infinities are refused
 * @param options `relativeAccuracy`: above 0, below 1, default 0.01 (1 %)
 * @throws EngineError JOB_INVALID when p or the accuracy is out of range
 */
export function quantileSketch<In>(
  p: number,
  select: (value: Readonly<In>) => number,
  options: { readonly relativeAccuracy?: number } = {},
): Aggregate<In, number> {
  const relativeAccuracy = options.relativeAccuracy ?? 0.01;
  if (typeof relativeAccuracy !== 'number' || !(relativeAccuracy > 0 && relativeAccuracy < 1)) {
    throw new EngineError('JOB_INVALID', `quantileSketch: relativeAccuracy is ${String(relativeAccuracy)}; use a number above 0 and below 1, for example 0.01`);
  }
  const rankIndex = nearestRank(p);
  const create = (): DDSketch => new DDSketch({ relativeAccuracy });
  return objectAggregate<In, DDSketch, number>(
    {
      create,
      add: (sketch, value) => {
        sketch.accept(finiteNumber(select(value)));
        return sketch;
      },
      merge,
      result: (sketch) => valueAtRank(sketch, rankIndex),
      sizeOf: (sketch) => 400 + 8 * (sketch.store.length() + sketch.negativeStore.length()),
      codec: { toPlain, fromPlain: (plain) => addPlain(create(), plain as PlainSketch) },
    },
    { aggregate: 'quantileSketch', p, relativeAccuracy },
    { select },
  );
}

function finiteNumber(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new EngineError('USER_FUNCTION_FAILED', `quantileSketch: the function gave ${String(value)}, which no bin can hold; filter such records out before`);
}

function valueAtRank(sketch: DDSketch, rankIndex: NearestRank): number {
  const { store, negativeStore, zeroCount, mapping } = sketch;
  if (sketch.count === 0) return Number.NaN;
  const index = rankIndex(sketch.count);
  const fromZero = index - negativeStore.count;
  if (fromZero < 0) return clamp(-mapping.value(negativeStore.keyAtRank(-fromZero - 1)), sketch);
  if (fromZero < zeroCount) return 0;
  return clamp(mapping.value(store.keyAtRank(fromZero - zeroCount)), sketch);
}

/** The middle of an outermost bin may lie beyond every number seen. */
const clamp = (value: number, sketch: DDSketch): number => Math.min(sketch.max, Math.max(sketch.min, value));

function merge(left: DDSketch, right: DDSketch): DDSketch {
  return right.count === 0 ? left : addPlain(left, toPlain(right));
}

function addPlain(sketch: DDSketch, plain: PlainSketch): DDSketch {
  const added = addBins(sketch.store, plain.positive) + addBins(sketch.negativeStore, plain.negative) + plain.zeroCount;
  sketch.zeroCount += plain.zeroCount;
  sketch.count += added;
  sketch.min = Math.min(sketch.min, plain.min);
  sketch.max = Math.max(sketch.max, plain.max);
  return sketch;
}

function addBins(store: Store, { firstKey, counts }: PlainBins): number {
  let total = 0;
  for (let index = 0; index < counts.length; index++) {
    const count = counts[index] as number;
    if (count > 0) store.add(firstKey + index, count);
    total += count;
  }
  return total;
}

function toPlain(sketch: DDSketch): PlainSketch {
  const { min, max, zeroCount, store, negativeStore } = sketch;
  return { min, max, zeroCount, positive: binsOf(store), negative: binsOf(negativeStore) };
}

function binsOf(store: Store): PlainBins {
  if (store.count === 0) return { firstKey: 0, counts: new Float64Array(0) };
  const { minKey, maxKey, offset, bins } = store;
  return { firstKey: minKey, counts: Float64Array.from(bins.slice(minKey - offset, maxKey - offset + 1)) };
}
