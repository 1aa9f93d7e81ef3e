/** What the parts of one slot's data plane share. */
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import type { ExchangeLimits } from '../../runtime/exchange/exchange-limits.ts';
import type { ExchangeIdentity } from '../../runtime/exchange/handshake.ts';
import type { ChannelDecoder } from '../../runtime/exchange/inbound-channel.ts';
import type { ChannelEncoder } from '../../runtime/exchange/outbound-channel.ts';

/** Where a slot listens. */
export interface SlotEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Makes the codec of a channel: one encoder and one decoder each, both with memory of what passed before. */
export interface ExchangeCodec {
  encoder(): ChannelEncoder;
  decoder(): ChannelDecoder;
}

export interface DataPlaneContext {
  readonly identity: ExchangeIdentity;
  /** Index of this slot. */
  readonly self: number;
  readonly limits: ExchangeLimits;
  readonly codec: ExchangeCodec;
  /** Null: in clear. */
  readonly tls: TlsMaterialSource | null;
  /** For dialing and for the handshake of who dials. */
  readonly connectTimeoutMs: number;
  /** A connection that had been taken is gone, not on purpose. */
  connectionFailed(from: number, to: number, error: Error): void;
}
