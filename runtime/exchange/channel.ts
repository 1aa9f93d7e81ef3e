/**
 * The two ends of a channel, as a subtask sees them. There are two kinds of channel only: same slot (batches by reference)
 * and different slot (encoded, TCP); a subtask cannot tell which it has.
 *
 * Architecture invariant: `write` never refuses and never waits. Room is asked for *before* a head record or a timer is
 * processed, and whatever that one step emits is taken. Bounded, because one step is.
 */
import type { StreamElement } from '../../core/stream/batch.ts';

export interface ChannelWriter {
  /** Hands over one element; ownership of a batch goes with it. */
  write(element: StreamElement): void;
  /** False while queued bytes exceed the channel's credit. Turning true again calls `onWritable` given at creation. */
  readonly hasRoom: boolean;
  /** Bytes of batches sent to another slot so far; absent within a slot. */
  readonly bytesSent?: number;
}

export interface ChannelReader {
  /** The next element, or null when none has arrived. Taking an element returns its credit. */
  poll(): StreamElement | null;
  /** Bytes of batches received from another slot so far; absent within a slot. */
  readonly bytesReceived?: number;
}

/** Credit of a channel: bytes that may be queued between writer and reader. */
export const channelCreditBytes = 1024 * 1024;
