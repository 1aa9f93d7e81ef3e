/**
 * Where encoders write: a growing buffer with a position. Encoders write straight into `buffer`, because one call a byte
 * would cost more than the encoding; `ensure` may replace `buffer` and `view`, so both are read again after it.
 */

/** A growing byte buffer. `RowBlockWriter` of the checkpoint is one, so rows are encoded in place. */
export interface ByteSink {
  buffer: Uint8Array;
  view: DataView;
  position: number;
  /** Makes room for `bytes` more at `position`. */
  ensure(bytes: number): void;
}

const initialBytes = 1024;

/** The plain sink: one buffer, used again after `reset`. */
export class ByteWriter implements ByteSink {
  buffer: Uint8Array;
  view: DataView;
  position = 0;

  /** @param capacity bytes to begin with, at least 1 */
  constructor(capacity: number = initialBytes) {
    this.buffer = new Uint8Array(new ArrayBuffer(capacity));
    this.view = new DataView(this.buffer.buffer);
  }

  ensure(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(new ArrayBuffer(Math.max(needed, this.buffer.length * 2)));
    grown.set(this.buffer.subarray(0, this.position));
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Forgets what was written; the buffer stays. */
  reset(): void {
    this.position = 0;
  }

  /** A copy of what was written, in an ArrayBuffer of its own; then as after `reset`. */
  take(): Uint8Array {
    const bytes = this.buffer.slice(0, this.position);
    this.position = 0;
    return bytes;
  }
}
