/**
 * `keyBy(..).window(tumbling(..)).aggregate({..})`: a window fires when time reaches its last millisecond: `{ key, windowStart,
 * windowEnd, ...results }`, windows in the order (end, key bytes).
 *
 * With allowed lateness a window stays after it fired and every further record emits the updated result; the stored mark
 * `fired` keeps a restored window from firing its contents twice.
 *
 * State: one row of accumulators per key and window, state name `windows`; the timers are derived from the rows.
 */
import type { Key } from '../../../core/operators.ts';
import { TimeHeap } from '../../time/time-heap.ts';
import type { OperatorContext, RestoredRow } from '../operator.ts';
import { type Pane, Panes } from './panes.ts';
import { type Firing, WindowOperator } from './window-operator.ts';

interface PaneFiring extends Firing {
  readonly pane: Pane;
}

export class TumblingWindowOperator extends WindowOperator<PaneFiring> {
  /** Starts of windows that did not fire yet. */
  readonly #waiting = new TimeHeap();
  /** Starts of windows that fired and take late records. */
  readonly #fired = new TimeHeap();
  readonly #panes: Panes;

  constructor(context: OperatorContext<'window-aggregate'>) {
    super(context);
    const { owner, layout, cache } = this;
    this.#panes = new Panes({
      owner,
      stateName: 'windows',
      layout,
      cache,
      created: (start) => this.#waiting.push(start),
    });
  }

  protected override addRecord(value: unknown, timestamp: number, splitWatermark: number): void {
    const start = this.#startOf(timestamp);
    const lastMs = start + this.config.size - 1;
    if (this.isLate(value, lastMs, splitWatermark, this.time)) return;
    const pane = this.#panes.at(start);
    let slot: number;
    try {
      slot = this.#panes.add(pane, this.keyOf(value), value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    if (lastMs <= this.time) this.#emitRow(pane, slot);
    else if (pane.table.isFired(slot)) pane.table.setFired(slot, false);
  }

  protected override earliestMs(): number {
    return this.#waiting.earliest + this.config.size - 1;
  }

  protected override nextFiring(time: number): PaneFiring | null {
    if (this.#waiting.size === 0 || this.earliestMs() > time) return null;
    const pane = this.#panes.at(this.#waiting.earliest);
    this.#waiting.pop();
    return { pane, keys: this.#panes.sortedKeys(pane), next: 0 };
  }

  protected override needToFire(firing: PaneFiring, key: Key): void {
    this.prefetch.need(firing.pane.table, key);
  }

  protected override fireKey({ pane }: PaneFiring, key: Key): void {
    const slot = pane.table.find(key);
    if (slot < 0) return;
    if (!pane.table.isFired(slot)) this.#emitRow(pane, slot);
    if (this.config.allowedLatenessMs === 0) pane.table.retireRow(slot);
  }

  protected override endFiring({ pane }: PaneFiring): void {
    if (this.config.allowedLatenessMs > 0) this.#fired.push(pane.start);
    else this.#panes.drop(pane);
  }

  protected override purge(time: number): void {
    const { size, allowedLatenessMs } = this.config;
    while (this.#fired.size > 0 && this.#fired.earliest + size - 1 + allowedLatenessMs <= time) {
      this.#panes.delete(this.#panes.at(this.#fired.earliest));
      this.#fired.pop();
    }
  }

  protected override restoreResident(row: RestoredRow): void {
    this.#panes.restoreResident(row);
  }

  protected override noteRestored(row: RestoredRow): void {
    this.#panes.noteRestored(row);
  }

  protected override needRows(key: Key, timestamp: number): void {
    const time = this.config.processingTime ? this.clock(this.context.nowMs()) : timestamp;
    if (time !== time) return;
    const start = this.#startOf(time);
    if (start + this.config.size - 1 + this.config.allowedLatenessMs <= this.time) return;
    this.prefetch.need(this.#panes.at(start).table, key);
  }

  #startOf(timestamp: number): number {
    const { size, offsetMs } = this.config;
    // Adding 0 turns -0 into 0.
    return Math.floor((timestamp - offsetMs) / size) * size + offsetMs + 0;
  }

  #emitRow(pane: Pane, slot: number): void {
    const { table } = pane;
    if (this.config.allowedLatenessMs > 0) table.setFired(slot, true);
    this.emitResult(table.accumulators, slot, table.index.keyAt(slot), pane.start, pane.start + this.config.size);
  }
}
