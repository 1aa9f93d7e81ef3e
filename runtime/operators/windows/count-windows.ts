/**
 * `keyBy(..).window(countWindow(size, slide)).aggregate({..})`: with every `slide`-th record of a key a result over its last
 * `size` (fewer before there are so many). `windowStart` and `windowEnd` are numbers of records of the key: `[20, 30)` are the
 * 21st to the 30th. Without time: a result has the time of the record that completed it, and what is incomplete at the end of
 * input is not emitted.
 *
 * Records are added to panes, as in sliding windows. State: `counts`, one row per key with its panes, see `segment-table.ts`;
 * the newest pane says how many records there were, so the row of a key stays.
 */
import type { Key } from '../../../core/operators.ts';
import { Accumulators } from '../../state/accumulators.ts';
import type { AdderTable } from '../../state/aggregate-adder.ts';
import { AggregateLayout } from '../../state/aggregate-layout.ts';
import { OneTableOperator } from '../one-table-operator.ts';
import type { OperatorContext } from '../operator.ts';
import { SegmentTable } from './segment-table.ts';
import { SlideCalendar } from './slide-calendar.ts';
import { windowConfig } from './window-config.ts';

/** Adds a record to the pane of its number. */
class CountAdder implements AdderTable {
  row = -1;
  readonly #table: SegmentTable;
  readonly #calendar: SlideCalendar;

  constructor(table: SegmentTable, calendar: SlideCalendar) {
    this.#table = table;
    this.#calendar = calendar;
  }

  get parts(): Float64Array {
    return this.#table.accumulators.parts;
  }

  upsert(key: Key): number {
    const table = this.#table;
    this.row = table.upsert(key);
    const newest = table.heads[this.row] as number;
    const count = newest < 0 ? 0 : (table.ends[newest] as number);
    const pane = this.#calendar.paneOf(count);
    const segment = newest >= 0 && table.starts[newest] === pane ? newest : this.#open(count);
    table.ends[segment] = count + 1;
    return segment;
  }

  addObjects(key: Key, value: unknown): number {
    const table = this.#table;
    this.row = table.upsert(key);
    const newest = table.heads[this.row] as number;
    const count = newest < 0 ? 0 : (table.ends[newest] as number);
    const isOpen = newest >= 0 && table.starts[newest] === this.#calendar.paneOf(count);
    try {
      const segment = isOpen ? newest : table.take(count, count + 1);
      try {
        table.accumulators.addObjects(segment, value);
      } catch (error) {
        if (!isOpen) table.release(segment);
        throw error;
      }
      if (!isOpen) this.#link(segment, count);
      table.ends[segment] = count + 1;
      return segment;
    } catch (error) {
      if ((table.heads[this.row] as number) < 0) table.deleteRow(this.row);
      throw error;
    }
  }

  #open(count: number): number {
    const segment = this.#table.take(count, count);
    this.#link(segment, count);
    return segment;
  }

  /** Makes a pane the newest of the row, and drops those that no window needs any more. */
  #link(segment: number, count: number): void {
    const table = this.#table;
    table.link(this.row, -1, segment);
    const neededFrom = this.#calendar.firstWindowOf(count);
    let newer = segment;
    while ((table.olders[newer] as number) >= 0) {
      const older = table.olders[newer] as number;
      if ((table.starts[older] as number) >= neededFrom) newer = older;
      else {
        table.unlink(this.row, newer);
        table.release(older);
      }
    }
  }
}

export class CountWindowOperator extends OneTableOperator<'window-aggregate'> {
  readonly #layout: AggregateLayout;
  readonly #size: number;
  readonly #slide: number;
  readonly #table: SegmentTable;
  readonly #adder: CountAdder;
  /** One window, being merged. */
  readonly #merged: Accumulators;

  constructor(context: OperatorContext<'window-aggregate'>) {
    super(context, context.functions.keyOf);
    const { size, slide } = windowConfig(context);
    this.#size = size;
    this.#slide = slide;
    this.#layout = new AggregateLayout(context.functions.aggregates, 3);
    this.#table = this.keep(new SegmentTable(this.owner, 'counts', this.#layout));
    // Windows end at multiples of the slide.
    this.#adder = new CountAdder(this.#table, new SlideCalendar(size, slide, -size));
    this.#merged = new Accumulators(this.#layout, 1);
  }

  emit(value: unknown): void {
    let result: Record<string, unknown> | null;
    try {
      const key = this.keyOf(value);
      const segment = this.#layout.add(this.#adder, key, value);
      const count = this.#table.ends[segment] as number;
      result = count % this.#slide === 0 ? this.#resultOf(count) : null;
    } catch (error) {
      return this.userFailed(value, error);
    }
    if (result !== null) this.context.output.emit(result);
    this.shrinkCaches();
  }

  /** The result over the last `size` records of the row that was added to. @throws what the user's functions throw */
  #resultOf(end: number): Record<string, unknown> {
    const { accumulators, heads, starts, olders, index } = this.#table;
    const start = Math.max(0, end - this.#size);
    const panes: number[] = [];
    const { row } = this.#adder;
    for (let pane = heads[row] as number; pane >= 0 && (starts[pane] as number) >= start; pane = olders[pane] as number)
      panes.push(pane);
    const key = index.keyAt(row);
    const { makeResult, partKinds } = this.#layout;
    const [only] = panes;
    if (panes.length === 1 && only !== undefined)
      return makeResult(accumulators.parts, only * partKinds.length, accumulators.objects, only, key, start, end);
    const merged = this.#merged;
    merged.copy(0, accumulators, panes.pop() as number);
    while (panes.length > 0) merged.merge(0, accumulators, panes.pop() as number);
    const result = makeResult(merged.parts, 0, merged.objects, 0, key, start, end);
    merged.drop(0);
    return result;
  }
}
