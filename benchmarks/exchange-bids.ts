/** The records of the exchange benchmark: Nexmark bids with seven fields, prepared so that only the exchange is measured. */
import { type Batch, minWatermark } from '../core/stream/batch.ts';

export interface Bid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly dateTime: number;
  readonly extra: string;
}

const recordsPerBatch = 512;

/** Batches of 512 bids with timestamps, the same at every call. */
export function bidBatches(count: number): Batch[] {
  return Array.from({ length: count }, (_, batch) => {
    const values = Array.from({ length: recordsPerBatch }, (_, i) => bid(batch * recordsPerBatch + i));
    const timestamps = Float64Array.from(values, (value) => value.dateTime);
    return {
      values,
      length: recordsPerBatch,
      timestamps,
      splitWatermarks: null,
      rowKinds: null,
      watermark: minWatermark,
    };
  });
}

function bid(index: number): Bid {
  return {
    auction: 1000 + (index % 317),
    bidder: 1000 + (index % 1009),
    price: (index * 7919) % 1_000_003,
    channel: `channel-${index % 40}`,
    url: `https://www.nexmark.com/item.htm?query=1&channel_id=${(index * 31) % 9973}`,
    dateTime: 1_700_000_000_000 + index,
    extra: `extra-${(index * 104_729) % 65_536}`,
  };
}
