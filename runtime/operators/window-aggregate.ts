/**
 * `keyBy(..).window(tumbling(..)).aggregate({..})`: tumbling event-time windows. A window fires when the merged watermark
 * reaches its last millisecond: `{ key, windowStart, windowEnd, ...results }` at that time, windows in the order (end, key
 * bytes).
 *
 * Lateness is a pure function of the record's own split: late when `windowEnd - 1 + allowedLateness <= split watermark`.
 * The merged watermark only fires and purges. An on-time record whose window is purged already (its split was idle) goes to
 * the late output too, counted as `lateAfterIdle`. With allowed lateness a window stays after it fired and every further
 * record emits the updated result; the stored mark `fired` keeps a restored window from firing its contents twice.
 *
 * State: one row of accumulators per key and window, state name `windows`; the timers are derived from the rows. Each
 * window ("pane") has a table of its own, so that dropping it is dropping a few arrays.
 */
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { AggregateLayout } from '../state/aggregate-layout.ts';
import { ColumnTable } from '../state/column-table.ts';
import { encodedText } from '../state/key-index.ts';
import { sortByBytes, sortedKeys } from '../state/key-order.ts';
import { decodeNamespacedKey } from '../state/keyed-table.ts';
import type { RowCache } from '../state/row-cache.ts';
import { TimeHeap } from '../time/time-heap.ts';
import { KeyedOperator } from './keyed-operator.ts';
import type { Operator, OperatorContext, RestoredRow } from './operator.ts';
import { countMetric } from './user-code.ts';

interface Pane {
  readonly start: number;
  readonly table: ColumnTable;
  /** Beside a database: the keys of all rows, in the cache or not, by encoded form. Null when the table has them all. */
  readonly keys: Map<string, Key> | null;
}

/** A pane being fired and the cursor in it. */
interface Firing {
  readonly pane: Pane;
  readonly keys: readonly Key[];
  next: number;
}

interface WindowConfig {
  readonly sizeMs: number;
  readonly offsetMs: number;
  readonly allowedLatenessMs: number;
  readonly lateTag: string | null;
}

const stateName = 'windows';
/** Windows fired before other subtasks of the slot get their turn. */
const firedPerTurnMax = 1024;

class WindowAggregateOperator extends KeyedOperator<'window-aggregate'> {
  readonly #config: WindowConfig;
  readonly #layout: AggregateLayout;
  readonly #cache: RowCache;
  readonly #panes = new Map<number, Pane>();
  /** The pane of the last record: the next one mostly belongs there too. */
  #lastPane: Pane | null = null;
  /** Starts of panes that did not fire yet. */
  readonly #waiting = new TimeHeap();
  /** Starts of panes that fired and take late records. */
  readonly #fired = new TimeHeap();
  #firing: Firing | null = null;
  /** Merged watermark, also while it is being handled. */
  #watermark = Number.NEGATIVE_INFINITY;

  constructor(context: OperatorContext<'window-aggregate'>) {
    super(context, context.functions.keyOf);
    this.#config = windowConfig(context);
    this.#layout = new AggregateLayout(context.functions.aggregates, 3);
    this.#cache = this.newCache();
  }

  emit(value: unknown): void {
    const { scope } = this.context;
    if (scope.timestamp !== scope.timestamp) return this.context.fail(timestampMissing(this.context.node.id));
    const start = this.#startOf(scope.timestamp);
    const expiry = this.#lastMsOf(start) + this.#config.allowedLatenessMs;
    if (expiry <= scope.splitWatermark) return this.#late(value);
    if (expiry <= this.#watermark) {
      countMetric(this.context, 'lateAfterIdle', 1);
      return this.#late(value);
    }
    this.#add(this.#paneOf(start), value);
    this.shrinkCaches();
  }

  advanceWatermark(watermark: number): boolean {
    if (watermark > this.#watermark) this.#watermark = watermark;
    let budget = firedPerTurnMax;
    for (;;) {
      this.#firing ??= this.#nextFiring();
      if (this.#firing === null) break;
      budget = this.#fire(this.#firing, budget);
      if (this.#firing.next < this.#firing.keys.length) return false;
      this.#endFiring(this.#firing.pane);
      this.#firing = null;
    }
    this.#purgeExpired();
    return true;
  }

  #startOf(timestamp: number): number {
    const { sizeMs, offsetMs } = this.#config;
    // Adding 0 turns -0 into 0.
    return Math.floor((timestamp - offsetMs) / sizeMs) * sizeMs + offsetMs + 0;
  }

  #lastMsOf(start: number): number {
    return start + this.#config.sizeMs - 1;
  }

  #paneOf(start: number): Pane {
    if (this.#lastPane !== null && this.#lastPane.start === start) return this.#lastPane;
    let pane = this.#panes.get(start);
    if (pane === undefined) {
      const table = new ColumnTable(this.owner, stateName, this.#layout, start);
      pane = { start, table, keys: table.resident ? null : new Map() };
      this.#panes.set(start, pane);
      this.#cache.add(table);
      this.#waiting.push(start);
    }
    this.#lastPane = pane;
    return pane;
  }

  #add(pane: Pane, value: unknown): void {
    const { table, keys } = pane;
    let slot: number;
    try {
      slot = table.add(this.keyOf(value), value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    if (keys !== null) {
      const key = table.index.keyAt(slot);
      keys.set(encodedText(key), key);
    }
    if (this.#lastMsOf(pane.start) <= this.#watermark) this.#emitResult(pane, slot);
    else if (table.isFired(slot)) table.setFired(slot, false);
  }

  #late(value: unknown): void {
    this.context.metrics.lateRecords++;
    if (this.#config.lateTag !== null) this.context.sideOutput(this.#config.lateTag).emit(value);
  }

  /** The earliest pane that is due. */
  #nextFiring(): Firing | null {
    const start = this.#waiting.earliest;
    if (this.#waiting.size === 0 || this.#lastMsOf(start) > this.#watermark) return null;
    this.#waiting.pop();
    const pane = this.#panes.get(start) as Pane;
    const { table, keys } = pane;
    if (keys !== null) return { pane, keys: sortByBytes([...keys.values()]), next: 0 };
    return { pane, keys: sortedKeys(table.index, table.usedSlots()), next: 0 };
  }

  /** Fires windows while there is room and budget. Returns the budget left. */
  #fire(firing: Firing, budget: number): number {
    const { pane, keys } = firing;
    while (firing.next < keys.length) {
      const resident = this.prefetch.prepare(firing, firing.next, keys.length, (index) =>
        this.prefetch.need(pane.table, keys[index] as Key),
      );
      const end = Math.min(firing.next + resident, keys.length);
      if (resident === 0) return budget;
      while (firing.next < end) {
        if (!this.context.hasRoom()) return budget;
        if (budget === 0) {
          this.context.wake();
          return 0;
        }
        budget--;
        this.#fireKey(pane, keys[firing.next++] as Key);
      }
    }
    return budget;
  }

  #fireKey(pane: Pane, key: Key): void {
    const slot = pane.table.find(key);
    if (slot < 0) return;
    if (!pane.table.isFired(slot)) this.#emitResult(pane, slot);
    if (this.#config.allowedLatenessMs === 0) pane.table.retireRow(slot);
  }

  #emitResult(pane: Pane, slot: number): void {
    const { scope, output } = this.context;
    const key = pane.table.index.keyAt(slot);
    const windowEnd = pane.start + this.#config.sizeMs;
    let result: Record<string, unknown>;
    if (this.#config.allowedLatenessMs > 0) pane.table.setFired(slot, true);
    try {
      result = pane.table.resultOf(slot, key, pane.start, windowEnd);
    } catch (error) {
      return this.userFailed({ key, windowStart: pane.start, windowEnd }, error);
    }
    scope.timestamp = this.#lastMsOf(pane.start);
    scope.splitWatermark = Number.NaN;
    scope.rowKind = 0;
    output.emit(result);
  }

  #endFiring(pane: Pane): void {
    if (this.#config.allowedLatenessMs > 0) this.#fired.push(pane.start);
    else this.#dropPane(pane);
  }

  #purgeExpired(): void {
    const { allowedLatenessMs } = this.#config;
    while (this.#fired.size > 0 && this.#lastMsOf(this.#fired.earliest) + allowedLatenessMs <= this.#watermark) {
      const pane = this.#panes.get(this.#fired.earliest) as Pane;
      this.#fired.pop();
      if (pane.keys === null) for (const slot of pane.table.usedSlots()) pane.table.retireRow(slot);
      else for (const key of pane.keys.values()) pane.table.deleteUnread(key);
      this.#dropPane(pane);
    }
  }

  /** All rows of the pane are deleted. */
  #dropPane(pane: Pane): void {
    this.#panes.delete(pane.start);
    if (this.#lastPane === pane) this.#lastPane = null;
    this.#cache.remove(pane.table);
    pane.table.retire();
  }

  protected override restoreResident(row: RestoredRow): void {
    const { key, namespace } = decodeNamespacedKey(row.key);
    this.#paneOf(namespace).table.restoreRow(key, row.keyGroup, row.value);
  }

  protected override noteRestored(row: RestoredRow): void {
    const { key, namespace } = decodeNamespacedKey(row.key);
    const keys = this.#paneOf(namespace).keys as Map<string, Key>;
    if (row.value === null) keys.delete(encodedText(key));
    else keys.set(encodedText(key), key);
  }

  protected override needRows(key: Key, timestamp: number): void {
    if (timestamp !== timestamp) return;
    const start = this.#startOf(timestamp);
    if (this.#lastMsOf(start) + this.#config.allowedLatenessMs <= this.#watermark) return;
    this.prefetch.need(this.#paneOf(start).table, key);
  }
}

function windowConfig(context: OperatorContext<'window-aggregate'>): WindowConfig {
  const { config, id } = context.node;
  const window = config['window'] as { kind?: unknown; sizeMs?: unknown; offsetMs?: unknown } | undefined;
  if (window?.kind !== 'tumbling')
    throw new EngineError(
      'NOT_SUPPORTED',
      `operator '${id}': windows of kind '${String(window?.kind)}' are not built yet`,
    );
  const sizeMs = window.sizeMs;
  if (typeof sizeMs !== 'number' || !(sizeMs > 0))
    throw new EngineError('JOB_INVALID', `operator '${id}': a window of ${String(sizeMs)} ms; give a positive size`);
  return {
    sizeMs,
    offsetMs: typeof window.offsetMs === 'number' ? window.offsetMs : 0,
    allowedLatenessMs: typeof config['allowedLatenessMs'] === 'number' ? config['allowedLatenessMs'] : 0,
    lateTag: typeof config['lateTag'] === 'string' ? config['lateTag'] : null,
  };
}

function timestampMissing(operatorId: string): EngineError {
  const message = `operator '${operatorId}' puts records into event-time windows, but a record has no timestamp: call withTimestamps(..) on the stream first`;
  return new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: operatorId } });
}

export function createWindowAggregateOperator(context: OperatorContext<'window-aggregate'>): Operator {
  return new WindowAggregateOperator(context);
}
