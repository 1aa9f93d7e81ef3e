/**
 * Reads the records of one text file with exact positions. The buffer holds bytes that were read and not yet turned into records;
 * one more piece of the file is read ahead. `poll` cuts records off the buffer without waiting, `ready` fills it until it holds
 * a whole record. The position is the offset and line number of the next record, so a resumed reader reports right places.
 */
import { EngineError } from '../../../core/connector/index.ts';
import type { PlainData, SourceBatch, SplitCursor } from '../../../core/connector/index.ts';
import type { ByteReader } from './byte-reader.ts';
import { malformedError } from './malformed-policy.ts';
import type { MalformedHandler, MalformedPlace } from './malformed-policy.ts';
import { MalformedText, noRecord } from './text-format.ts';
import type { TextFormat } from './text-format.ts';

export interface TextPosition {
  /** Offset of the next record in uncompressed bytes. */
  readonly offset: number;
  /** 1-based line of the next record. */
  readonly line: number;
  /** What the format keeps (the header of a CSV file). */
  readonly format: PlainData;
}

export interface TextCursorOptions<T> {
  /** Absolute, for messages. */
  readonly path: string;
  readonly reader: ByteReader;
  readonly format: TextFormat<T>;
  readonly malformed: MalformedHandler;
  readonly lineMaxBytes: number;
  /** Where the reader starts. */
  readonly start: TextPosition;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
const emptyBuffer = Buffer.alloc(0);

interface Piece {
  readonly bytes: Buffer | null;
  readonly failure: { readonly error: unknown } | null;
}

async function readPiece(reader: ByteReader): Promise<Piece> {
  try {
    return { bytes: await reader.next(), failure: null };
  } catch (error) {
    return { bytes: null, failure: { error } };
  }
}

export class TextCursor<T> implements SplitCursor<T> {
  readonly #options: TextCursorOptions<T>;
  #buffer: Buffer = emptyBuffer;
  /** Offset in the file of the buffer's first byte. */
  #bufferOffset: number;
  /** Index in the buffer, and line, of the next record. */
  #at = 0;
  #line: number;
  #complete = false;
  #reading: Promise<void> | null = null;
  /** The piece that is read ahead; never rejects. */
  #ahead: Promise<Piece> | null = null;
  #failure: { readonly error: unknown } | null = null;
  /** Offset and line after each record of the last batch; index 0 is before its first record. */
  #offsets = new Float64Array(1);
  #lines = new Float64Array(1);
  /** Records in the last batch. */
  #batchLength = 0;

  constructor(options: TextCursorOptions<T>) {
    this.#options = options;
    this.#bufferOffset = options.start.offset;
    this.#line = options.start.line;
    this.#mark(0);
  }

  get ended(): boolean {
    return this.#complete && this.#at >= this.#buffer.length && this.#failure === null;
  }

  poll(recordsMax: number): SourceBatch<T> | null {
    if (this.#failure !== null) return null;
    const values: T[] = [];
    while (values.length < recordsMax) {
      const end = this.#findEnd();
      if (end < 0) break;
      const decoded = this.#decode(end);
      if (this.#failure !== null) break;
      if (decoded !== noRecord) {
        if (values.length === 0) this.#startBatch(recordsMax);
        values.push(decoded);
        this.#batchLength = values.length;
      }
      this.#pass(end);
      // Text without a record belongs to the record before it, in this batch or the one before: a position behind that record
      // does not read it again, and a poll without records leaves the other positions as they are.
      this.#mark(this.#batchLength);
    }
    this.#options.malformed.flush();
    return values.length === 0 ? null : { values, timestamps: null };
  }

  /** Forgets the positions of the batch before; it is consumed when records follow it. */
  #startBatch(recordsMax: number): void {
    if (this.#offsets.length <= recordsMax) {
      this.#offsets = new Float64Array(recordsMax + 1);
      this.#lines = new Float64Array(recordsMax + 1);
    }
    this.#mark(0);
  }

  async ready(): Promise<void> {
    while (this.#failure === null && !this.ended && this.#findEnd() < 0) {
      this.#reading ??= this.#readPiece();
      await this.#reading;
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  position(consumed: number): PlainData {
    this.#options.malformed.sync();
    const position: TextPosition = {
      offset: this.#offsets[consumed] as number,
      line: this.#lines[consumed] as number,
      format: this.#options.format.state(),
    };
    return position;
  }

  async close(): Promise<void> {
    await this.#reading;
    await this.#ahead;
    this.#options.malformed.close();
    await this.#options.reader.close();
  }

  #mark(index: number): void {
    this.#offsets[index] = this.#bufferOffset + this.#at;
    this.#lines[index] = this.#line;
  }

  /** Index after the next record in the buffer; -1 when it is not all there. The last record needs no line end. */
  #findEnd(): number {
    if (this.#at >= this.#buffer.length) return -1;
    const end = this.#options.format.findEnd(this.#buffer, this.#at);
    const known = end < 0 && this.#complete ? this.#buffer.length : end;
    const bytes = (known < 0 ? this.#buffer.length : known) - this.#at;
    if (bytes > this.#options.lineMaxBytes) this.#failure ??= { error: this.#tooLong(bytes) };
    return this.#failure === null ? known : -1;
  }

  #decode(end: number): T | typeof noRecord {
    const { format, malformed } = this.#options;
    const to = this.#contentEnd(end);
    if (to === this.#at) return noRecord;
    try {
      return format.decode(this.#buffer, this.#at, to);
    } catch (error) {
      if (!(error instanceof MalformedText)) throw error;
      const bytes = this.#buffer.subarray(this.#at, to);
      if (malformed.fails) this.#failure = { error: malformedError(this.#place(), error.message, bytes) };
      else malformed.handle(this.#place(), error.message, bytes);
      return noRecord;
    }
  }

  #contentEnd(end: number): number {
    let to = end;
    if (to > this.#at && this.#buffer[to - 1] === lineFeed) to--;
    if (to > this.#at && this.#buffer[to - 1] === carriageReturn) to--;
    return to;
  }

  #pass(end: number): void {
    if (this.#options.format.multiline) {
      for (
        let at = this.#buffer.indexOf(lineFeed, this.#at);
        at >= 0 && at < end;
        at = this.#buffer.indexOf(lineFeed, at + 1)
      )
        this.#line++;
    } else {
      this.#line++;
    }
    this.#at = end;
  }

  #place(): MalformedPlace {
    return { path: this.#options.path, line: this.#line, byteOffset: this.#bufferOffset + this.#at };
  }

  #tooLong(bytes: number): EngineError {
    const { path, line, byteOffset } = this.#place();
    return new EngineError(
      'RECORD_TOO_LARGE',
      `${path}, line ${line} (byte ${byteOffset}): the record has at least ${bytes} bytes, the limit is ${this.#options.lineMaxBytes}. Raise the option lineMaxBytes, or check for a missing line end or closing quote.`,
      { ids: { path, line, byteOffset } },
    );
  }

  async #readPiece(): Promise<void> {
    const piece = await (this.#ahead ?? readPiece(this.#options.reader));
    this.#ahead = null;
    this.#reading = null;
    if (piece.failure !== null) {
      this.#failure ??= piece.failure;
    } else if (piece.bytes === null) {
      this.#complete = true;
    } else {
      this.#append(piece.bytes);
      this.#ahead = readPiece(this.#options.reader);
    }
  }

  #append(piece: Buffer): void {
    const rest = this.#buffer.subarray(this.#at);
    this.#bufferOffset += this.#at;
    this.#buffer = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    this.#at = 0;
    if (this.#bufferOffset === 0 && this.#buffer.subarray(0, 3).equals(byteOrderMark)) this.#at = byteOrderMark.length;
  }
}
