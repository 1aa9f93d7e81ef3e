/**
 * Timers of one operator and one time domain: (time, key, namespace), each once; the namespace is the window a timer belongs
 * to, where it belongs to one. They fire in the order (time, encoded key bytes, namespace bytes), resumably: `nextDue` is asked again wherever firing stopped, since a timer that fired is gone and one that did not is
 * still there. Pure: whoever owns it brings the time.
 *
 * What a callback registers at a later time fires in the same advance when it is due, so results do not depend on how far
 * one watermark jumps. What it registers at its own time or before is held until the next advance, so that a timer that
 * renews itself in the past ends.
 *
 * Timers are rows (time ‖ key ‖ namespace → empty value) of the state `timers-event` or `timers-processing`; all are in memory in
 * every backend. @see scenarios 73 and 74 (restore of overdue timers; twice, deleted in its own callback, in the past)
 */
import { type ByteSink, ByteWriter } from '../../core/codec/byte-sink.ts';
import { decodeKey, encodeKey } from '../../core/codec/key-codec.ts';
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { timestampMax } from '../../core/watermarks.ts';
import { memoryBackend } from '../state/backend.ts';
import { bytesOfText, textOfBytes } from '../state/key-index.ts';
import { describeKey } from '../state/keyed-table.ts';
import { checkRowVersion, rowValueVersion } from '../state/object-table.ts';
import { RowTable, type TableOwner } from '../state/row-table.ts';
import { TimeHeap } from './time-heap.ts';

export type TimeDomain = 'event' | 'processing';

export interface Timer {
  readonly time: number;
  readonly key: Key;
  /** What of the key the timer belongs to (a window); absent where it belongs to the key alone. */
  readonly namespace?: Key;
}

/** Name of the state that holds the timers of a domain. */
export function timerStateName(domain: TimeDomain): string {
  return `timers-${domain}`;
}

const scratch = new ByteWriter(256);

/**
 * The time a timer of user code is kept under. An infinite time becomes the nearest bound, since `context.watermark + n` is
 * infinite before the first watermark and after the last: such a timer fires when the watermark next moves, or at the end. The
 * last moment of a window stays as it is, also where there is none (global windows).
 *
 * @param windowEnd the exclusive end of the window the timer belongs to @throws RangeError
 */
export function timerTimeOf(timestampMs: number, key: Key, windowEnd = Number.NaN): number {
  const time = boundedTimerTime(timestampMs, windowEnd);
  if (typeof time === 'number' && (Math.abs(time) <= timestampMax || time === windowEnd - 1)) return time;
  throw new RangeError(
    `a timer needs a time in ms at most ${timestampMax} from the epoch, or an infinite one, got ${String(timestampMs)} ` +
      `for key ${describeKey(key)}; count from context.timestamp (NaN where a record has none), the watermark or the clock`,
  );
}

/** The same for a timer that is taken back: what could not be registered is not there, so nothing is refused. */
export function boundedTimerTime(timestampMs: number, windowEnd = Number.NaN): number {
  if (timestampMs === windowEnd - 1) return timestampMs;
  if (timestampMs === Number.POSITIVE_INFINITY) return timestampMax;
  return timestampMs === Number.NEGATIVE_INFINITY ? -timestampMax : timestampMs;
}

/** Address of a timer: encoded time, key and namespace, one character a byte. @throws EngineError KEY_NOT_SUPPORTED */
function timerText(time: number, key: Key, namespace: Key | null): string {
  scratch.reset();
  encodeKey(time, scratch);
  encodeKey(key, scratch);
  if (namespace !== null) encodeKey(namespace, scratch);
  return textOfBytes(scratch.buffer, 0, scratch.position);
}

/** The timers as rows. */
class TimerTable extends RowTable {
  readonly slots = new Map<string, number>();
  readonly #texts: (string | undefined)[] = [];
  readonly #free: number[] = [];

  has(text: string): boolean {
    const slot = this.slots.get(text);
    return slot !== undefined && this.isPresent(slot);
  }

  add(text: string, keyGroup: number): void {
    const slot = this.slots.get(text) ?? this.#insert(text);
    this.putRow(slot, keyGroup);
  }

  adopt(text: string, keyGroup: number): void {
    this.adoptRow(this.slots.get(text) ?? this.#insert(text), keyGroup);
  }

  forget(text: string): void {
    const slot = this.slots.get(text);
    if (slot !== undefined) this.forgetRow(slot);
  }

  remove(text: string): void {
    const slot = this.slots.get(text);
    if (slot !== undefined) this.deleteRow(slot);
  }

  protected override encodeRowKey(slot: number, sink: ByteSink): void {
    const text = this.#texts[slot] as string;
    sink.ensure(text.length);
    for (let index = 0; index < text.length; index++) sink.buffer[sink.position++] = text.charCodeAt(index);
  }

  protected override encodeRowValue(_slot: number, sink: ByteSink): void {
    sink.ensure(1);
    sink.buffer[sink.position++] = rowValueVersion;
  }

  protected override dropValue(): void {}

  protected override dropKey(slot: number): void {
    this.slots.delete(this.#texts[slot] as string);
    this.#texts[slot] = undefined;
    this.#free.push(slot);
  }

  protected override describeKey(slot: number): string {
    const { time, key } = timerOf(this.#texts[slot] as string);
    return `${describeKey(key)} at ${time}`;
  }

  #insert(text: string): number {
    const slot = this.#free.pop() ?? this.#texts.length;
    while (slot >= this.capacity) this.growRows();
    this.#texts[slot] = text;
    this.slots.set(text, slot);
    return slot;
  }
}

function timerOf(text: string): Timer {
  const bytes = bytesOfText(text);
  const time = decodeKey(bytes);
  const key = decodeKey(bytes, time.end);
  const namespace = key.end === bytes.length ? null : decodeKey(bytes, key.end);
  assert(
    typeof time.key === 'number' && (namespace === null || namespace.end === bytes.length),
    'a timer row is addressed by time, key and namespace',
  );
  if (namespace === null) return { time: time.key, key: key.key };
  return { time: time.key, key: key.key, namespace: namespace.key };
}

export class TimerService {
  readonly stateName: string;
  readonly #owner: TableOwner;
  readonly #table: TimerTable;
  readonly #times = new TimeHeap();
  /** Registered timers by time; emptied buckets stay until their time comes. */
  readonly #buckets = new Map<number, Set<string>>();
  /** Registered by a callback for its own time or before; they wait for the next advance. */
  readonly #held = new Map<string, number>();
  #advancing = false;
  /** Time of the timers being fired, and the cursor in them. */
  #firingTime = Number.NaN;
  #firing: string[] = [];
  #firingIndex = 0;

  constructor(owner: TableOwner, domain: TimeDomain) {
    this.stateName = timerStateName(domain);
    this.#owner = owner;
    this.#table = new TimerTable({ ...owner, backend: memoryBackend }, this.stateName);
  }

  /** Time of the earliest timer, Infinity when there is none. May be that of a timer deleted meanwhile. */
  get earliest(): number {
    if (this.#firingIndex < this.#firing.length) return this.#firingTime;
    let earliest = this.#times.earliest;
    for (const time of this.#held.values()) if (time < earliest) earliest = time;
    return earliest;
  }

  get size(): number {
    return this.#table.usedCount;
  }

  /** Registers a timer; once, however often it is called. @throws EngineError KEY_NOT_SUPPORTED; RangeError for a time that is not a number */
  register(time: number, key: Key, namespace: Key | null = null): void {
    if (typeof time !== 'number' || time !== time)
      throw new RangeError(`a timer needs a time in ms, got ${String(time)}`);
    const text = timerText(time, key, namespace);
    if (this.#table.has(text)) return;
    this.#table.add(text, keyGroupOf(key, this.#owner.maxParallelism));
    if (this.#advancing && time <= this.#firingTime) this.#held.set(text, time);
    else this.#enqueue(time, text);
  }

  /** Deletes a timer; one that is not registered is no error. */
  delete(time: number, key: Key, namespace: Key | null = null): void {
    const text = timerText(time, key, namespace);
    if (!this.#table.has(text)) return;
    this.#table.remove(text);
    this.#buckets.get(time)?.delete(text);
    this.#held.delete(text);
  }

  /**
   * The next timer due at `target`, taken out, or null when all have fired; then the advance is over. The caller stops
   * asking when it has no room, and asks again later.
   */
  takeDue(target: number): Timer | null {
    for (;;) {
      const text = this.#nextText(target);
      if (text === null) return null;
      // Deleted meanwhile, or registered anew for the next advance.
      if (!this.#table.has(text) || this.#held.has(text)) continue;
      this.#table.remove(text);
      return timerOf(text);
    }
  }

  /** Up to `count` of the timers that are due next, for prefetching; they stay registered. */
  dueTimers(target: number, count: number): Timer[] {
    const texts = this.#firing.slice(this.#firingIndex, this.#firingIndex + count);
    for (const time of texts.length < count ? this.#times.upTo(target) : []) {
      texts.push(...[...(this.#buckets.get(time) ?? [])].sort());
      if (texts.length >= count) break;
    }
    return texts.slice(0, count).map(timerOf);
  }

  restoreRow(bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const text = textOfBytes(bytes);
    const { time } = timerOf(text);
    if (value === null) {
      this.#table.forget(text);
      this.#buckets.get(time)?.delete(text);
      return;
    }
    checkRowVersion(value, this.stateName);
    this.#table.adopt(text, keyGroup);
    this.#enqueue(time, text);
  }

  #enqueue(time: number, text: string): void {
    const key = time === 0 ? 0 : time;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new Set();
      this.#buckets.set(key, bucket);
      this.#times.push(key);
    }
    bucket.add(text);
  }

  #nextText(target: number): string | null {
    if (!this.#advancing) this.#startAdvance();
    while (this.#firingIndex >= this.#firing.length) {
      if (this.#times.size === 0 || this.#times.earliest > target) {
        this.#endAdvance();
        return null;
      }
      this.#firingTime = this.#times.earliest;
      this.#times.pop();
      this.#firing = [...(this.#buckets.get(this.#firingTime) ?? [])].sort();
      this.#firingIndex = 0;
      this.#buckets.delete(this.#firingTime);
    }
    return this.#firing[this.#firingIndex++] as string;
  }

  #startAdvance(): void {
    this.#advancing = true;
    this.#firingTime = Number.NEGATIVE_INFINITY;
    for (const [text, time] of this.#held) this.#enqueue(time, text);
    this.#held.clear();
  }

  #endAdvance(): void {
    this.#advancing = false;
    this.#firing = [];
    this.#firingIndex = 0;
  }
}
