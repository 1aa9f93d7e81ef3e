/**
 * Names of fields as they are written, remembered for the objects written last: records of a stream have the same fields in
 * the same order, and their names are a good part of their bytes.
 */
import { ByteWriter } from './byte-sink.ts';
import { valueTags } from './value-layout.ts';

/** Objects with fewer fields have a tag of their own. */
export const shortObjectMax = 32;
/** Names of other lengths or units are not remembered, nor the names of objects that have one. */
const nameLengthMax = 63;
/** Objects with other fields, of the same number, until those are remembered instead. */
const patience = 16;

/** Written names one after the other, with their tags. */
export interface FieldNames {
  readonly keys: readonly string[];
  readonly bytes: Uint8Array;
  /** Where each name ends. */
  readonly ends: readonly number[];
}

/** By number of fields. */
const remembered: (FieldNames | null)[] = new Array<FieldNames | null>(shortObjectMax).fill(null);
const strangers = new Uint8Array(shortObjectMax).fill(patience - 1);

/** The written names of fewer than {@link shortObjectMax} fields; null when they are to be written one by one. */
export function fieldNamesOf(keys: readonly string[]): FieldNames | null {
  const names = remembered[keys.length] as FieldNames | null;
  if (names === null) return stranger(keys);
  const known = names.keys;
  for (let index = 0; index < known.length; index++) if (known[index] !== keys[index]) return stranger(keys);
  return names;
}

function stranger(keys: readonly string[]): null {
  const count = keys.length;
  strangers[count] = (strangers[count] as number) + 1;
  if (strangers[count] !== patience) return null;
  strangers[count] = 0;
  remembered[count] = writtenNames(keys);
  return null;
}

function writtenNames(keys: readonly string[]): FieldNames | null {
  const sink = new ByteWriter(256);
  const ends: number[] = [];
  for (const key of keys) {
    if (key.length > nameLengthMax) return null;
    sink.ensure(1 + key.length);
    sink.buffer[sink.position++] = valueTags.shortLatin1 + key.length;
    for (let index = 0; index < key.length; index++) {
      const unit = key.charCodeAt(index);
      if (unit > 0xff) return null;
      sink.buffer[sink.position++] = unit;
    }
    ends.push(sink.position);
  }
  return { keys, bytes: sink.take(), ends };
}
