/**
 * `keyBy(..).window(sliding(..)).aggregate({..})`: a record is added to one pane, however many windows cover it; a window
 * merges its panes when it fires.
 *
 * Sharing has one catch. A record may be too late for the first windows of its pane and in time for the others. Where one of
 * those first windows may still emit (another split holds the merged watermark back, or lateness keeps it), the pane must not
 * have the record: it is added to `extras` of each window that it is in time for. So lateness of each window is exactly what
 * it would be without panes, and a function of the record's split alone.
 *
 * State: `panes`, a row of accumulators per key and pane; `extras`, per key and window; `fired`, see `fired-positions.ts`.
 */
import { assert } from '../../../core/errors.ts';
import type { Key } from '../../../core/operators.ts';
import { Accumulators } from '../../state/accumulators.ts';
import { sortByBytes } from '../../state/key-order.ts';
import type { OperatorContext, RestoredRow, SnapshotTask } from '../operator.ts';
import { FiredPositions, firedStateName, type FiringPosition } from './fired-positions.ts';
import { MergedWindow } from './merged-window.ts';
import { type Pane, Panes } from './panes.ts';
import { SlideCalendar } from './slide-calendar.ts';
import { SortedTimes } from './sorted-times.ts';
import { type Firing, WindowOperator } from './window-operator.ts';

interface WindowFiring extends Firing {
  readonly start: number;
  /** Panes and extras of the window, oldest first. */
  readonly parts: readonly Pane[];
  /** All keys merged; null beside a database, where each key is merged when it fires. */
  readonly merged: MergedWindow | null;
}

export class SlidingWindowOperator extends WindowOperator<WindowFiring> {
  readonly #calendar: SlideCalendar;
  readonly #panes: Panes;
  readonly #extras: Panes;
  readonly #positions: FiredPositions;
  /** One window of one key, being merged. */
  readonly #scratch: Accumulators;
  /** Starts of panes. */
  readonly #starts = new SortedTimes();
  /** Windows up to this last millisecond have fired for all keys. */
  #firedMs = Number.NEGATIVE_INFINITY;
  /** Some keys had fired further than others before the restore; until time has passed that. */
  #catchingUp = false;

  constructor(context: OperatorContext<'window-aggregate'>) {
    super(context);
    const { owner, layout, cache } = this;
    const { size, slide, offsetMs } = this.config;
    this.#calendar = new SlideCalendar(size, slide, offsetMs);
    const created = (start: number): void => this.#starts.add(start);
    this.#panes = new Panes({ owner, stateName: 'panes', layout, cache, created });
    // A window with extras is found by a pane at its start.
    const opened = (start: number): void => void this.#panes.at(start);
    this.#extras = new Panes({ owner, stateName: 'extras', layout, cache, created: opened });
    this.#positions = new FiredPositions(owner);
    this.#scratch = new Accumulators(layout, 1);
  }

  override restore(row: RestoredRow): void {
    if (row.stateName === firedStateName) this.#positions.restore(row);
    else super.restore(row);
  }

  override async open(): Promise<void> {
    this.#firedMs = this.#positions.earliest;
    const { latest } = this.#positions;
    this.#catchingUp = latest > this.#firedMs;
    if (this.config.processingTime) this.clock(latest + 1);
    await super.open();
  }

  override freeze(checkpointId: number): SnapshotTask | null {
    const position = this.#firingPosition();
    this.#positions.save(position === null ? this.#firedMs : position.lastMs - 1, position);
    return super.freeze(checkpointId);
  }

  protected override addRecord(value: unknown, timestamp: number, splitWatermark: number): void {
    const pane = this.#calendar.paneOf(timestamp);
    const firstMs = this.#lastMsOf(this.#calendar.firstWindowOf(pane));
    if (firstMs <= splitWatermark || firstMs <= this.#firedMs || this.#catchingUp)
      return this.#addBehind(value, pane, splitWatermark);
    try {
      this.#panes.add(this.#panes.at(pane), this.keyOf(value), value);
    } catch (error) {
      this.userFailed(value, error);
    }
  }

  /** A record of which some windows may be over or have fired. */
  #addBehind(value: unknown, pane: number, splitWatermark: number): void {
    let key: Key;
    let firedMs: number;
    try {
      key = this.keyOf(value);
      firedMs = this.#firedMsOf(key);
    } catch (error) {
      return this.userFailed(value, error);
    }
    const { slide } = this.config;
    const last = this.#calendar.lastWindowOf(pane);
    if (this.isLate(value, this.#lastMsOf(last), splitWatermark, firedMs)) return;
    const first = this.#calendar.firstWindowOf(pane);
    const open = this.#firstAlive(first, firedMs);
    const own = this.#firstAlive(first, splitWatermark);
    try {
      if (own <= open) this.#panes.add(this.#panes.at(pane), key, value);
      else for (let start = own; start <= last; start += slide) this.#extras.add(this.#extras.at(start), key, value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    for (let start = Math.max(own, open); start <= last && this.#lastMsOf(start) <= firedMs; start += slide)
      this.#mergeAndEmit(this.#partsOf(start), start, key);
  }

  protected override earliestMs(): number {
    const start = this.#nextWindow();
    return start === null ? Number.POSITIVE_INFINITY : this.#lastMsOf(start);
  }

  protected override nextFiring(time: number): WindowFiring | null {
    const start = this.#nextWindow();
    if (start === null || this.#lastMsOf(start) > time) return null;
    const parts = this.#partsOf(start);
    if (!this.context.backend.resident) return { start, parts, merged: null, keys: keysOf(parts), next: 0 };
    const merged = new MergedWindow(this.layout);
    for (const { table } of parts) merged.addPane(table);
    return { start, parts, merged, keys: merged.sortedKeys(), next: 0 };
  }

  protected override needToFire(firing: WindowFiring, key: Key): void {
    for (const { table } of firing.parts) this.prefetch.need(table, key);
  }

  protected override fireKey({ start, parts, merged }: WindowFiring, key: Key): void {
    if (this.#catchingUp && this.#firedMsOf(key) >= this.#lastMsOf(start)) return;
    if (merged === null) this.#mergeAndEmit(parts, start, key);
    else this.#emitMerged(merged, start, key);
    this.shrinkCaches();
  }

  protected override endFiring({ start }: WindowFiring): void {
    this.#firedMs = this.#lastMsOf(start);
  }

  protected override purge(time: number): void {
    if (time > this.#firedMs) this.#firedMs = time;
    if (this.#catchingUp && time >= this.#positions.latest) {
      this.#catchingUp = false;
      this.#positions.forgetRestored();
    }
    while (this.#starts.size > 0 && this.#isOver(this.#calendar.lastWindowOf(this.#starts.first))) {
      this.#panes.delete(this.#panes.at(this.#starts.first));
      this.#starts.removeFirst();
    }
    for (const start of this.#extras.starts()) {
      if (this.#isOver(start)) this.#extras.delete(this.#extras.at(start));
    }
  }

  protected override restoreResident(row: RestoredRow): void {
    this.#storeOf(row).restoreResident(row);
  }

  protected override noteRestored(row: RestoredRow): void {
    this.#storeOf(row).noteRestored(row);
  }

  protected override needRows(key: Key, timestamp: number): void {
    const time = this.config.processingTime ? this.clock(this.context.nowMs()) : timestamp;
    if (time !== time) return;
    const pane = this.#calendar.paneOf(time);
    if (this.#isOver(this.#calendar.lastWindowOf(pane))) return;
    this.prefetch.need(this.#panes.at(pane).table, key);
  }

  #storeOf({ stateName }: RestoredRow): Panes {
    const store = [this.#panes, this.#extras].find((panes) => panes.stateName === stateName);
    assert(store !== undefined, `sliding windows have no state '${stateName}'`);
    return store;
  }

  #lastMsOf(start: number): number {
    return start + this.config.size - 1;
  }

  #isOver(start: number): boolean {
    return this.#lastMsOf(start) + this.config.allowedLatenessMs <= this.#firedMs;
  }

  /** The first window from `first` on that is not over at `time`; NaN where nothing is known: none is over. */
  #firstAlive(first: number, time: number): number {
    const alive = this.#calendar.firstWindowAfter(time - this.config.allowedLatenessMs);
    return alive > first ? alive : first;
  }

  /** How far windows have fired for a key. */
  #firedMsOf(key: Key): number {
    return this.#catchingUp ? Math.max(this.#firedMs, this.#positions.restoredTimeOf(key)) : this.#firedMs;
  }

  #firingPosition(): FiringPosition | null {
    const firing = this.interrupted;
    if (firing === null || firing.next === 0) return null;
    return { lastMs: this.#lastMsOf(firing.start), key: firing.keys[firing.next - 1] as Key };
  }

  /** The first window with a pane that has not fired. */
  #nextWindow(): number | null {
    const after = this.#calendar.firstWindowAfter(this.#firedMs);
    // The panes of that window and of those after it start there or later.
    const pane = this.#starts.atOrAfter(after);
    return pane === undefined ? null : Math.max(after, this.#calendar.firstWindowOf(pane));
  }

  #partsOf(start: number): Pane[] {
    const starts = this.#starts.between(start, start + this.config.size);
    const parts = starts.map((pane) => this.#panes.at(pane));
    const extra = this.#extras.find(start);
    return extra === undefined ? parts : [...parts, extra];
  }

  #emitMerged(merged: MergedWindow, start: number, key: Key): void {
    const slot = merged.index.find(key);
    const windowEnd = start + this.config.size;
    if (!merged.failures.has(slot)) return this.emitResult(merged.accumulators, slot, key, start, windowEnd);
    this.userFailed({ key, windowStart: start, windowEnd }, merged.failures.get(slot));
  }

  #mergeAndEmit(parts: readonly Pane[], start: number, key: Key): void {
    const merged = this.#scratch;
    const windowEnd = start + this.config.size;
    let found = false;
    try {
      for (const { table } of parts) {
        const row = table.find(key);
        if (row < 0) continue;
        if (found) merged.merge(0, table.accumulators, row);
        else merged.copy(0, table.accumulators, row);
        found = true;
      }
    } catch (error) {
      return this.userFailed({ key, windowStart: start, windowEnd }, error);
    }
    if (found) this.emitResult(merged, 0, key, start, windowEnd);
    merged.drop(0);
  }
}

/** The keys of some panes beside a database, in key order. */
function keysOf(parts: readonly Pane[]): Key[] {
  const keys = new Map<string, Key>();
  for (const pane of parts) for (const [text, key] of pane.keys ?? []) keys.set(text, key);
  return sortByBytes([...keys.values()]);
}
