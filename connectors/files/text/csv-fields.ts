/**
 * Cuts CSV text into records and fields (RFC 4180). A quote opens a quoted field only at the field's start; elsewhere it is a
 * character like others (`5" pipe`). Inside quotes, two quotes are one, and line ends and delimiters are text.
 */
import { MalformedText } from './text-format.ts';

const quoteByte = 0x22;
const lineFeed = 0x0a;

/** Remembers the next quote of a buffer, so that looking for one before every record does not read the rest of the buffer each time. */
export class QuoteFinder {
  #buffer: Buffer | null = null;
  #next = 0;

  /** Index of the first quote at or after `from`, Infinity when there is none. */
  find(buffer: Buffer, from: number): number {
    if (buffer !== this.#buffer || this.#next < from) {
      const at = buffer.indexOf(quoteByte, from);
      this.#next = at < 0 ? Number.POSITIVE_INFINITY : at;
      this.#buffer = buffer;
    }
    return this.#next;
  }
}

/** Index after the record that starts at `from`, its line end included, or -1 when the buffer ends first. */
export function findCsvRecordEnd(
  buffer: Buffer,
  from: number,
  options: { readonly delimiter: number; readonly quotes: QuoteFinder },
): number {
  const lineEnd = buffer.indexOf(lineFeed, from);
  // Most records have no quotes; then the line is the record.
  if (options.quotes.find(buffer, from) > (lineEnd < 0 ? buffer.length : lineEnd))
    return lineEnd < 0 ? -1 : lineEnd + 1;
  let fieldStart = true;
  for (let at = from; at < buffer.length; at++) {
    const byte = buffer[at] as number;
    if (byte === quoteByte && fieldStart) {
      at = closingQuote(buffer, at);
      if (at < 0) return -1;
      fieldStart = false;
    } else if (byte === lineFeed) {
      return at + 1;
    } else {
      fieldStart = byte === options.delimiter;
    }
  }
  return -1;
}

/** Index of the quote that closes the one at `opening`, or -1. A quote at the end of the buffer may be the first of two. */
function closingQuote(buffer: Buffer, opening: number): number {
  let at = buffer.indexOf(quoteByte, opening + 1);
  while (at >= 0 && buffer[at + 1] === quoteByte) at = buffer.indexOf(quoteByte, at + 2);
  return at;
}

/** The fields of one record's text, line end excluded. */
export function splitCsvFields(text: string, delimiter: string): string[] {
  if (!text.includes('"')) return text.split(delimiter);
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const field = text[at] === '"' ? quotedField(text, at, delimiter) : plainField(text, at, delimiter);
    fields.push(field.value);
    if (field.end >= text.length) return fields;
    at = field.end + 1;
  }
}

interface Field {
  readonly value: string;
  /** Index of the delimiter after it, or the length of the text. */
  readonly end: number;
}

function plainField(text: string, from: number, delimiter: string): Field {
  const end = text.indexOf(delimiter, from);
  return end < 0 ? { value: text.slice(from), end: text.length } : { value: text.slice(from, end), end };
}

function quotedField(text: string, from: number, delimiter: string): Field {
  let closing = text.indexOf('"', from + 1);
  while (closing >= 0 && text[closing + 1] === '"') closing = text.indexOf('"', closing + 2);
  if (closing < 0) throw new MalformedText('a quoted field is not closed');
  const end = closing + 1;
  if (end < text.length && text[end] !== delimiter)
    throw new MalformedText(`text follows a closing quote (column ${end + 1})`);
  return { value: text.slice(from + 1, closing).replaceAll('""', '"'), end };
}
