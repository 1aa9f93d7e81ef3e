/**
 * Copies of what outlives its batch. Strings of a decoded batch are cut out of one joined string a column; V8 keeps the
 * whole parent for a slice of 13 characters or more (shorter ones it copies itself). One kept 58-character slice pinned
 * 32 KB. So whoever keeps a decoded value (state, key tables, asynchronous buffers) keeps `ownValue(value)`.
 */
import { refusalOf } from './value-refusal.ts';
import { readLatin1, readUtf16, writeAscii, writeUtf16 } from './string-bytes.ts';

/** Shortest string V8 represents as a slice of another. */
const slicedLengthMin = 13;
/** Longer strings are copied through memory of their own, which is then dropped. */
const scratchUnitsMax = 16 * 1024;
const scratch = new Uint8Array(scratchUnitsMax * 3);

/** The string in memory of its own. Flat, holds no other string alive. */
export function ownString(text: string): string {
  const length = text.length;
  if (length < slicedLengthMin) return text;
  const bytes = length <= scratchUnitsMax ? scratch : new Uint8Array(length * 3);
  if (writeAscii(bytes, 0, text)) return readLatin1(bytes, 0, length);
  writeUtf16(bytes, 0, text);
  return readUtf16(bytes, 0, length * 2);
}

/**
 * The value with every string and byte array in memory of its own; the same reference when there is nothing to copy. Takes
 * what the codecs accept; anything else is returned as it is.
 * @throws EngineError VALUE_NOT_ENCODABLE for a value that contains itself
 */
export function ownValue<T>(value: T): T {
  try {
    return own(value) as T;
  } catch (error) {
    // The walk has no depth limit of its own; what overflows the stack contains itself or is nested too deep.
    throw refusalOf(value) ?? error;
  }
}

function own(value: unknown): unknown {
  if (typeof value === 'string') return ownString(value);
  if (typeof value !== 'object' || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return ownObject(value as Record<string, unknown>);
  if (Array.isArray(value)) return ownArray(value);
  if (value instanceof Map) return ownMap(value);
  if (value instanceof Set) return ownSet(value);
  return ArrayBuffer.isView(value) ? ownView(value) : value;
}

/** With `for in`, which costs a third of `Object.keys`; names of the prototype, where somebody gave it some, are passed over. */
function ownObject(object: Record<string, unknown>): unknown {
  let copy: Record<string, unknown> | null = null;
  for (const name in object) {
    const value = object[name];
    // Numbers and short strings first: most fields are one, and neither is ever copied.
    if (typeof value === 'string') {
      if (value.length < slicedLengthMin) continue;
    } else if (typeof value !== 'object' || value === null) continue;
    if (!Object.hasOwn(object, name)) continue;
    const owned = typeof value === 'string' ? ownString(value) : own(value);
    if (owned === value && typeof value !== 'string') continue;
    copy ??= { ...object };
    // The copy has the field already, so this assignment never reaches a setter, not even for __proto__.
    copy[name] = owned;
  }
  return copy ?? object;
}

/** Strings compare by content: a copy looks unchanged, so their length says whether there is one. */
function isLong(value: unknown): boolean {
  return typeof value === 'string' && value.length >= slicedLengthMin;
}

function ownArray(array: readonly unknown[]): unknown {
  let copy: unknown[] | null = null;
  for (let index = 0; index < array.length; index++) {
    const value = array[index];
    const owned = own(value);
    if (owned === value && !isLong(value)) continue;
    copy ??= array.slice();
    copy[index] = owned;
  }
  return copy ?? array;
}

function ownMap(map: ReadonlyMap<unknown, unknown>): unknown {
  let changed = false;
  const copy = new Map<unknown, unknown>();
  for (const [key, value] of map) {
    const [ownedKey, ownedValue] = [own(key), own(value)];
    changed ||= ownedKey !== key || ownedValue !== value || isLong(key) || isLong(value);
    copy.set(ownedKey, ownedValue);
  }
  return changed ? copy : map;
}

function ownSet(set: ReadonlySet<unknown>): unknown {
  let changed = false;
  const copy = new Set<unknown>();
  for (const element of set) {
    const owned = own(element);
    changed ||= owned !== element || isLong(element);
    copy.add(owned);
  }
  return changed ? copy : set;
}

/** A view of a larger buffer would keep all of it. */
function ownView(view: ArrayBufferView): unknown {
  if (view.byteLength === view.buffer.byteLength) return view;
  if (view instanceof Uint8Array) return new Uint8Array(view);
  return view instanceof DataView ? view : (view as Float64Array).slice();
}
