/**
 * A DDSketch: counts in bins whose borders grow geometrically, so that any number of a bin is within a relative error of
 * the bin's middle. Bins are sparse: state is as large as the number of bins in use, about 4,100 for numbers of
 * both signs from 1e-9 to 1e9 at 1 %, and small for real groups.
 *
 * Own code, because @datadog/sketches-js 2.1.1 leaves negative numbers out of `merge`, loses minimum and maximum in its
 * stored form, counts NaN as 0 and keeps dense bins, which overflow the stack when numbers are of very different size.
 * The mapping is the same; a test compares the two where the library is right.
 *
 * @see Masson, Rim, Lee: DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees (VLDB 2019)
 */

/** Numbers nearer to 0 have no full precision in float64 and count as 0. */
const smallestCounted = 2 ** -1022;

/** Borders of bins: number `key` holds `gamma^(key - 1) < value <= gamma^key`. */
export class BinMapping {
  readonly #logGamma: number;
  readonly #middle: number;

  /** @param relativeAccuracy above 0, below 1 */
  constructor(relativeAccuracy: number) {
    // log1p and this form of gamma keep their digits when the accuracy is tiny.
    const growth = (2 * relativeAccuracy) / (1 - relativeAccuracy);
    this.#logGamma = Math.log1p(growth);
    this.#middle = 2 / (2 + growth);
  }

  keyOf(positive: number): number {
    return Math.ceil(Math.log(positive) / this.#logGamma);
  }

  middleOf(key: number): number {
    return Math.exp(key * this.#logGamma) * this.#middle;
  }
}

/** Plain form: keys and counts of the bins in use, in key order. */
export interface PlainSketch {
  readonly min: number;
  readonly max: number;
  readonly zeroCount: number;
  readonly positive: PlainBins;
  readonly negative: PlainBins;
}
export interface PlainBins {
  readonly keys: Float64Array;
  readonly counts: Float64Array;
}

export class Sketch {
  #zeroCount = 0;
  #count = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  /** Key → count, of positive numbers and of the absolute values of negative ones. */
  readonly #positive = new Map<number, number>();
  readonly #negative = new Map<number, number>();
  readonly #mapping: BinMapping;

  constructor(mapping: BinMapping) {
    this.#mapping = mapping;
  }

  get count(): number {
    return this.#count;
  }

  get binCount(): number {
    return this.#positive.size + this.#negative.size;
  }

  /** @param value finite */
  add(value: number): void {
    if (value >= smallestCounted) increase(this.#positive, this.#mapping.keyOf(value), 1);
    else if (value <= -smallestCounted) increase(this.#negative, this.#mapping.keyOf(-value), 1);
    else this.#zeroCount++;
    this.#count++;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /** Adds what another sketch of the same mapping counted. */
  merge(other: Sketch): void {
    for (const [key, count] of other.#positive) increase(this.#positive, key, count);
    for (const [key, count] of other.#negative) increase(this.#negative, key, count);
    this.#zeroCount += other.#zeroCount;
    this.#count += other.#count;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /** The number at a 0-based index in ascending order, within the relative accuracy; NaN of an empty sketch. */
  valueAt(index: number): number {
    if (this.#count === 0) return Number.NaN;
    let before = index;
    for (const [key, count] of sorted(this.#negative).reverse()) {
      if (before < count) return this.#clamp(-this.#mapping.middleOf(key));
      before -= count;
    }
    if (before < this.#zeroCount) return this.#clamp(0);
    before -= this.#zeroCount;
    for (const [key, count] of sorted(this.#positive)) {
      if (before < count) return this.#clamp(this.#mapping.middleOf(key));
      before -= count;
    }
    return this.#max;
  }

  toPlain(): PlainSketch {
    return {
      min: this.#min,
      max: this.#max,
      zeroCount: this.#zeroCount,
      positive: plainBins(this.#positive),
      negative: plainBins(this.#negative),
    };
  }

  static fromPlain(mapping: BinMapping, plain: PlainSketch): Sketch {
    const sketch = new Sketch(mapping);
    sketch.#count = plain.zeroCount + fill(sketch.#positive, plain.positive) + fill(sketch.#negative, plain.negative);
    sketch.#zeroCount = plain.zeroCount;
    sketch.#min = plain.min;
    sketch.#max = plain.max;
    return sketch;
  }

  /** The middle of an outermost bin may lie beyond every number seen, or beyond float64. */
  #clamp(value: number): number {
    return Math.min(this.#max, Math.max(this.#min, value));
  }
}

function increase(bins: Map<number, number>, key: number, count: number): void {
  bins.set(key, (bins.get(key) ?? 0) + count);
}

const sorted = (bins: ReadonlyMap<number, number>): [number, number][] =>
  [...bins].sort((left, right) => left[0] - right[0]);

function plainBins(bins: ReadonlyMap<number, number>): PlainBins {
  const entries = sorted(bins);
  return { keys: Float64Array.from(entries, ([key]) => key), counts: Float64Array.from(entries, ([, count]) => count) };
}

function fill(bins: Map<number, number>, { keys, counts }: PlainBins): number {
  let total = 0;
  for (let index = 0; index < keys.length; index++) {
    bins.set(keys[index] as number, counts[index] as number);
    total += counts[index] as number;
  }
  return total;
}
