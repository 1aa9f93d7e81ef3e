/** Quantiles within a relative error, from small state however many records there are. */
import type { Aggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import { objectAggregate } from './aggregate-of.ts';
import { BinMapping, type PlainSketch, Sketch } from './ddsketch.ts';
import { nearestRank } from './nearest-rank.ts';

/**
 * The p-quantile by nearest rank, as {@link quantile}, within a relative error of the exact number. Independent of the
 * order of arrival.
 * @param p       above 0, at most 1
 * @param select  the number of a record; NaN and infinities are refused
 * @param options `relativeAccuracy`: above 0, below 1, default 0.01 (1 %)
 * @throws EngineError JOB_INVALID when p or the accuracy is out of range
 */
export function quantileSketch<In>(
  p: number,
  select: (value: In) => number,
  options: { readonly relativeAccuracy?: number } = {},
): Aggregate<In, number> {
  const relativeAccuracy = options.relativeAccuracy ?? 0.01;
  if (typeof relativeAccuracy !== 'number' || !(relativeAccuracy > 0 && relativeAccuracy < 1)) {
    throw new EngineError(
      'JOB_INVALID',
      `quantileSketch: relativeAccuracy is ${String(relativeAccuracy)}; use a number above 0 and below 1, for example 0.01`,
    );
  }
  const rankIndex = nearestRank(p);
  const mapping = new BinMapping(relativeAccuracy);
  return objectAggregate<In, Sketch, number>(
    {
      create: () => new Sketch(mapping),
      add: (sketch, value) => {
        sketch.add(finiteNumber(select(value)));
        return sketch;
      },
      merge: (left, right) => {
        left.merge(right);
        return left;
      },
      result: (sketch) => sketch.valueAt(rankIndex(sketch.count)),
      sizeOf: (sketch) => 300 + 40 * sketch.binCount,
      codec: {
        toPlain: (sketch) => sketch.toPlain(),
        fromPlain: (plain) => Sketch.fromPlain(mapping, plain as PlainSketch),
      },
    },
    { aggregate: 'quantileSketch', p, relativeAccuracy },
    { select },
  );
}

function finiteNumber(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new EngineError(
    'USER_FUNCTION_FAILED',
    `quantileSketch: the function gave ${String(value)}, which no bin can hold; filter such records out before`,
  );
}
