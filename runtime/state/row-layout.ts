/**
 * Layouts of stored row values of declared state. The first byte says which: every kind of state has its own, with and
 * without a time, so that a row that was written for another kind is noticed before it is misread, and a time to live can
 * be declared, changed or taken away between two runs. @see docs/formats/state-rows.md
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import { EngineError } from '../../core/errors.ts';

/** Version of the layout of a stored row value without a time. */
export const rowValueVersion = 1;

/** First bytes of row values. 1 is a value, a map and an entry of a map; the rest of the row tells them apart. */
export const rowVersion = {
  plain: rowValueVersion,
  /** A value, or an entry of a map, with the time of its last access. */
  timed: 2,
  /** A map with times of its entries. */
  timedMap: 3,
  list: 4,
  timedList: 5,
  aggregate: 6,
  timedAggregate: 7,
} as const;

/** @throws EngineError CHECKPOINT_UNREADABLE when a row was written by another version */
export function checkRowVersion(bytes: Uint8Array, stateName: string): void {
  if (bytes.length > 0 && bytes[0] === rowValueVersion) return;
  throw unknownRowVersion(bytes, stateName);
}

export function unknownRowVersion(bytes: Uint8Array, stateName: string): EngineError {
  return new EngineError(
    'CHECKPOINT_UNREADABLE',
    `a row of state '${stateName}' has layout version ${bytes[0]}, this release reads ${rowValueVersion}`,
    {
      domain: 'internal',
      ids: { state: stateName },
    },
  );
}

/** A kept value with the time of its last access (ms; NaN: not known yet). */
export interface Timed {
  at: number;
  value: unknown;
}

/** How the values of a table are stored. */
export interface ValueLayout {
  encode(kept: unknown, sink: ByteSink): void;
  /** @throws EngineError CHECKPOINT_UNREADABLE */
  decode(bytes: Uint8Array, stateName: string): unknown;
}

const timeBytes = 8;

/** What is kept is the value. */
export const plainLayout: ValueLayout = {
  encode(kept, sink) {
    sink.ensure(1);
    sink.buffer[sink.position++] = rowVersion.plain;
    encodeValue(kept, sink);
  },
  decode(bytes, stateName) {
    // Written while a time to live was declared: the time is of no use any more.
    if (bytes[0] === rowVersion.timed) return decodeValue(bytes, 1 + timeBytes);
    checkRowVersion(bytes, stateName);
    return decodeValue(bytes, 1);
  },
};

/** What is kept is a {@link Timed}. */
export const timedLayout: ValueLayout = {
  encode(kept, sink) {
    const { at, value } = kept as Timed;
    writeTime(rowVersion.timed, at, sink);
    encodeValue(value, sink);
  },
  decode(bytes, stateName): Timed {
    if (bytes[0] === rowVersion.timed) return { at: readTime(bytes), value: decodeValue(bytes, 1 + timeBytes) };
    checkRowVersion(bytes, stateName);
    return { at: Number.NaN, value: decodeValue(bytes, 1) };
  },
};

/** Writes a version byte and a time. */
export function writeTime(version: number, at: number, sink: ByteSink): void {
  sink.ensure(1 + timeBytes);
  sink.buffer[sink.position++] = version;
  sink.view.setFloat64(sink.position, at, true);
  sink.position += timeBytes;
}

/** The time behind the version byte. */
export function readTime(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat64(1, true);
}

/** The kinds of state that have rows of their own look. */
export type RowKind = 'value' | 'map' | 'list' | 'aggregating';

/**
 * The kind of state a stored row was written for; null for a version nobody knows.
 * @param isPart true for a row of a part (an entry, a chunk): its address is longer than the record key
 */
export function rowKindOf(value: Uint8Array, isPart: boolean): RowKind | null {
  switch (value[0]) {
    case rowVersion.plain:
      // A value goes on with the version of the value codec and a tag; a map with 0, or with nothing behind its 1.
      return isPart || value[1] === 0 || value.length === 2 ? 'map' : 'value';
    case rowVersion.timed:
      return isPart ? 'map' : 'value';
    case rowVersion.timedMap:
      return 'map';
    case rowVersion.list:
    case rowVersion.timedList:
      return 'list';
    case rowVersion.aggregate:
    case rowVersion.timedAggregate:
      return 'aggregating';
    default:
      return null;
  }
}
