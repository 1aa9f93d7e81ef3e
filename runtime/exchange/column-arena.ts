/**
 * Memory for number columns while one frame is decoded. Frames begin at any byte, so columns are copied to where they are
 * aligned; and a typed array of its own per column would be an allocation outside the heap each time.
 */
const chunkBytes = 64 * 1024;
/** A larger chunk, from one huge frame, is not kept. */
const keptBytesMax = 1024 * 1024;

export class ColumnArena {
  #buffer = new ArrayBuffer(chunkBytes);
  #bytes = new Uint8Array(this.#buffer);
  #used = 0;

  /** Arrays handed out before may be overwritten from now on. */
  reset(): void {
    this.#used = 0;
    if (this.#buffer.byteLength > keptBytesMax) this.#replace(chunkBytes);
  }

  int32(source: Uint8Array, start: number, count: number): Int32Array {
    return new Int32Array(this.#buffer, this.#copy(source, start, count * 4), count);
  }

  uint32(source: Uint8Array, start: number, count: number): Uint32Array {
    return new Uint32Array(this.#buffer, this.#copy(source, start, count * 4), count);
  }

  float64(source: Uint8Array, start: number, count: number): Float64Array {
    return new Float64Array(this.#buffer, this.#copy(source, start, count * 8), count);
  }

  /** Copies bytes of the frame to the next aligned place. Arrays in a buffer that is full keep it alive. */
  #copy(source: Uint8Array, start: number, bytes: number): number {
    if (this.#used + bytes > this.#buffer.byteLength) this.#replace(Math.max(bytes, this.#buffer.byteLength * 2));
    const offset = this.#used;
    this.#bytes.set(source.subarray(start, start + bytes), offset);
    this.#used = (offset + bytes + 7) & ~7;
    return offset;
  }

  #replace(bytes: number): void {
    this.#buffer = new ArrayBuffer(bytes);
    this.#bytes = new Uint8Array(this.#buffer);
    this.#used = 0;
  }
}
