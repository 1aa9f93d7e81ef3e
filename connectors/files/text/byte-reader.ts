/**
 * Bytes of a text file in order, from an offset on. Offsets count uncompressed bytes. A gzip stream has no place to start in the
 * middle, so what lies before the offset is decompressed again and dropped: exact, at the price of reading it twice.
 */
import type { FileHandle } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { EngineError } from '../../../core/connector/index.ts';
import { isEngineError } from '../../../core/errors.ts';
import { storageError, systemCode } from '../storage-error.ts';

export interface ByteReader {
  /** The next bytes; null at the end. */
  next(): Promise<Buffer | null>;
  /** Also closes the file handle. */
  close(): Promise<void>;
}

const pieceBytes = 256 * 1024;

export interface ByteRange {
  readonly path: string;
  /** Offset of the first byte to return, in uncompressed bytes. */
  readonly from: number;
  /** Bytes of the file on disk. */
  readonly fileBytes: number;
}

/** Reads a file that is stored as it is. Takes the handle over. */
export class PlainByteReader implements ByteReader {
  readonly #handle: FileHandle;
  readonly #range: ByteRange;
  #offset: number;

  constructor(handle: FileHandle, range: ByteRange) {
    this.#handle = handle;
    this.#range = range;
    this.#offset = range.from;
  }

  async next(): Promise<Buffer | null> {
    const length = Math.min(pieceBytes, this.#range.fileBytes - this.#offset);
    if (length <= 0) return null;
    try {
      const buffer = Buffer.allocUnsafeSlow(length);
      const { bytesRead } = await this.#handle.read(buffer, 0, length, this.#offset);
      if (bytesRead === 0)
        throw new Error(`the file ends at byte ${this.#offset}, ${this.#range.fileBytes} were planned`);
      this.#offset += bytesRead;
      return buffer.subarray(0, bytesRead);
    } catch (error) {
      throw storageError('reading', this.#range.path, error);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Reads a gzip file (also of several members). Takes the handle over. */
export class GzipByteReader implements ByteReader {
  readonly #handle: FileHandle;
  readonly #range: ByteRange;
  readonly #pieces: AsyncGenerator<Buffer>;
  #toSkip: number;

  constructor(handle: FileHandle, range: ByteRange) {
    this.#handle = handle;
    this.#range = range;
    this.#toSkip = range.from;
    this.#pieces = gunzipPieces(handle, range);
  }

  async next(): Promise<Buffer | null> {
    for (;;) {
      const { value, done } = await this.#pieces.next();
      if (done === true) return this.#end();
      if (value.length > this.#toSkip) {
        const piece = value.subarray(this.#toSkip);
        this.#toSkip = 0;
        return piece;
      }
      this.#toSkip -= value.length;
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return(undefined);
    await this.#handle.close();
  }

  #end(): null {
    if (this.#toSkip === 0) return null;
    throw new EngineError(
      'INPUT_MALFORMED',
      `${this.#range.path} ends ${this.#toSkip} bytes before the position in the checkpoint. Put the old file back.`,
      {
        ids: { path: this.#range.path },
      },
    );
  }
}

async function* gunzipPieces(handle: FileHandle, { path }: ByteRange): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: pieceBytes });
  const input = handle.createReadStream({ autoClose: false, start: 0, highWaterMark: pieceBytes });
  input.on('error', (error) => gunzip.destroy(error));
  input.pipe(gunzip);
  try {
    for await (const piece of gunzip) yield piece as Buffer;
  } catch (error) {
    if (isEngineError(error)) throw error;
    if (!systemCode(error).startsWith('Z_')) throw storageError('reading', path, error);
    const text = error instanceof Error ? error.message : String(error);
    throw new EngineError(
      'INPUT_MALFORMED',
      `${path} is not a complete gzip file: ${text}. Check the file, or set the option gzip: false.`,
      {
        cause: error,
        ids: { path },
      },
    );
  } finally {
    input.destroy();
    gunzip.destroy();
  }
}
