/**
 * Nearest-rank quantiles: the p-quantile of n ordered records is the one at rank `ceil(p * n)`. Computed exactly for the
 * decimal the author wrote: 0.07 * 100 is 7.000000000000001 in float64, and its ceiling would be one rank too far.
 */
import { EngineError } from '../../core/errors.ts';

/** 0-based index of the quantile among `count` ordered records. */
export type NearestRank = (count: number) => number;

/** @throws EngineError JOB_INVALID unless 0 < p <= 1 */
export function nearestRank(p: number): NearestRank {
  if (typeof p !== 'number' || !(p > 0 && p <= 1)) {
    throw new EngineError(
      'JOB_INVALID',
      `quantile: p is ${String(p)}; use a number above 0 and at most 1, for example 0.95`,
    );
  }
  const { numerator, denominator } = decimalFraction(p);
  const [small, smallDenominator] = [Number(numerator), Number(denominator)];
  return (count) => {
    if (small * count <= Number.MAX_SAFE_INTEGER) return Math.max(1, Math.ceil((small * count) / smallDenominator)) - 1;
    const rank = (numerator * BigInt(count) + denominator - 1n) / denominator;
    return Math.max(1, Number(rank)) - 1;
  };
}

/** The shortest decimal that reads back as `p`, as a fraction. */
function decimalFraction(p: number): { numerator: bigint; denominator: bigint } {
  const [mantissa, exponent] = p.toExponential().split('e') as [string, string];
  const digits = mantissa.replace('.', '');
  const scale = digits.length - 1 - Number(exponent);
  return { numerator: BigInt(digits), denominator: 10n ** BigInt(scale) };
}
