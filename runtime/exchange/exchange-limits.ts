/**
 * Every bound of the data plane in one place: nothing is allocated or queued beyond these, whatever a peer sends. Both ends
 * of a connection run the same release (the handshake says so), hence the same defaults; only the credit is negotiated.
 */
import { channelCreditBytes } from './channel.ts';

export interface ExchangeLimits {
  /** Bytes that may be queued at the reader of a channel. */
  readonly channelCreditBytes: number;
  /** Largest encoded record. */
  readonly recordMaxBytes: number;
  /** Largest encoded batch: what one step of an operator may emit, and one record. */
  readonly batchMaxBytes: number;
  /** Largest frame payload; a larger batch travels in several frames. */
  readonly frameMaxBytes: number;
  /** Channels of one connection. */
  readonly channelsMax: number;
  /** Batches queued in a same-slot channel, however small they are. */
  readonly localBatchesMax: number;
  /** Encoded bytes that may wait at the writer of one channel for credit. */
  readonly pendingMaxBytes: number;
}

const mebibyte = 1024 * 1024;

export const defaultExchangeLimits: ExchangeLimits = {
  channelCreditBytes,
  recordMaxBytes: 16 * mebibyte,
  batchMaxBytes: 80 * mebibyte,
  frameMaxBytes: mebibyte,
  channelsMax: 4096,
  localBatchesMax: 64,
  pendingMaxBytes: 160 * mebibyte,
};
