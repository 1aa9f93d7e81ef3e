/**
 * Accumulators of an updating aggregation: a column table that remembers what the row gave before the record at hand, so that
 * the change can be told. One lookup of the key serves both.
 *
 * Numbers before the change are copied into one small array; results of object accumulators are asked for before and after
 * (they change in place). Marks say whether the row was ever emitted.
 */
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import type { AggregateLayout } from './aggregate-layout.ts';
import { ColumnTable } from './column-table.ts';
import type { TableOwner } from './row-table.ts';

/** Whether the numbers of two rows give the same results. */
type SameNumbers = (left: Float64Array, right: Float64Array, first: number) => boolean;

export class UpdatingTable extends ColumnTable {
  /** True when the record found no emitted row: its result is the first. */
  isFirst = true;
  readonly #before: Float64Array;
  readonly #same: SameNumbers;
  #resultBefore: Record<string, unknown> | null = null;

  constructor(owner: TableOwner, stateName: string, layout: AggregateLayout) {
    super(owner, stateName, layout);
    this.#before = new Float64Array(layout.partKinds.length);
    this.#same = compileSame(layout);
  }

  /** As the table does, and remembers the row as it is now. */
  override upsert(key: Key): number {
    const slot = super.upsert(key);
    const count = this.#before.length;
    const first = slot * count;
    const { parts } = this;
    for (let part = 0; part < count; part++) this.#before[part] = parts[first + part] as number;
    this.isFirst = !this.isFired(slot);
    return slot;
  }

  override addObjects(key: Key, value: unknown): number {
    this.#rememberResult(key);
    return super.addObjects(key, value);
  }

  override retractObjects(key: Key, value: unknown): number {
    this.#rememberResult(key);
    return super.retractObjects(key, value);
  }

  /** The result of the row before the record at hand. */
  resultBefore(key: Key): Record<string, unknown> {
    if (this.#resultBefore !== null) return this.#resultBefore;
    return this.layout.makeResult(this.#before, 0, [], 0, key, Number.NaN, Number.NaN);
  }

  /** True when the record at hand left the result as it was. `result` is the one after it. */
  unchanged(slot: number, result: Record<string, unknown>): boolean {
    if (!this.#same(this.#before, this.parts, slot * this.#before.length)) return false;
    if (this.#resultBefore === null) return true;
    for (const { name, kind } of this.layout.fields) {
      if (kind === 'object' && !sameValue(this.#resultBefore[name], result[name])) return false;
    }
    return true;
  }

  #rememberResult(key: Key): void {
    const slot = this.find(key);
    this.#resultBefore = slot >= 0 && this.isFired(slot) ? this.resultOf(slot, key) : null;
  }
}

function sameValue(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  return Buffer.compare(encodeValueToBytes(left), encodeValueToBytes(right)) === 0;
}

/**
 * Generated once per operator. Architecture invariant: the text holds numbers and fixed words only.
 */
function compileSame({ fields }: AggregateLayout): SameNumbers {
  const tests = fields.flatMap(({ kind, index }) => {
    if (kind === 'object') return [];
    const [left, right] =
      kind === 'part'
        ? [`left[${index}]`, `right[first + ${index}]`]
        : [`left[${index}] / left[${index + 1}]`, `right[first + ${index}] / right[first + ${index + 1}]`];
    return [`(${left} === ${right} || (${left} !== ${left} && ${right} !== ${right}))`];
  });
  return new Function(
    'left',
    'right',
    'first',
    `return ${tests.length === 0 ? 'true' : tests.join(' && ')};`,
  ) as SameNumbers;
}
