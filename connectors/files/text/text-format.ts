/** What the text cursor needs to know of a format; one instance per open split. */
import { isUtf8 } from 'node:buffer';
import type { PlainData } from '../../../core/connector/index.ts';

/** Returned by `decode` for text that is no record: an empty line, a header. */
export const noRecord: unique symbol = Symbol('no record');

/** Thrown by `decode` for text that should be a record and is not; the cursor adds the place. */
export class MalformedText extends Error {}

export interface TextFormat<T> {
  /**
   * Index after the record that starts at `from`, its line end included; -1 when the buffer ends before the record does.
   * Ending at the end of the buffer without a line end is for the cursor to decide.
   */
  findEnd(buffer: Buffer, from: number): number;
  /** The record in `from .. to - 1`, line end excluded. */
  decode(buffer: Buffer, from: number, to: number): T | typeof noRecord;
  /** True when records may contain line feeds (then the cursor counts them). */
  readonly multiline: boolean;
  /** What a later cursor must know besides offset and line: given to the factory of the format. */
  state(): PlainData;
}

const invalidCharacter = '\ufffd';
const lineFeed = 0x0a;

/** The text of a record. Throws {@link MalformedText} when the bytes are not UTF-8. */
export function decodeUtf8(buffer: Buffer, from: number, to: number): string {
  const text = buffer.toString('utf8', from, to);
  // Decoding replaces bad bytes by U+FFFD; only then is it worth asking whether it was in the text itself.
  if (text.includes(invalidCharacter) && !isUtf8(buffer.subarray(from, to)))
    throw new MalformedText('the text is not valid UTF-8');
  return text;
}

/** Index after the next line feed, or -1. */
export function findLineEnd(buffer: Buffer, from: number): number {
  const at = buffer.indexOf(lineFeed, from);
  return at < 0 ? -1 : at + 1;
}
