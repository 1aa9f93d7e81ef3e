/**
 * The counts of q15 and q16: bids, distinct bidders and distinct auctions, in all and in three bands of prices. Distinct
 * ones are a map from id to the bands it was seen in: one entry serves four of the counts.
 */
import { highPrice, lowPrice } from './views.ts';
import type { MapState } from 'millrace';

/** Rank 1 is cheap, 3 expensive. */
export interface BidStatistics {
  totalBids: number;
  rank1Bids: number;
  rank2Bids: number;
  rank3Bids: number;
  totalBidders: number;
  rank1Bidders: number;
  rank2Bidders: number;
  rank3Bidders: number;
  totalAuctions: number;
  rank1Auctions: number;
  rank2Auctions: number;
  rank3Auctions: number;
}

export const noBids = (): BidStatistics => ({
  totalBids: 0,
  rank1Bids: 0,
  rank2Bids: 0,
  rank3Bids: 0,
  totalBidders: 0,
  rank1Bidders: 0,
  rank2Bidders: 0,
  rank3Bidders: 0,
  totalAuctions: 0,
  rank1Auctions: 0,
  rank2Auctions: 0,
  rank3Auctions: 0,
});

interface SlimBid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
}

/** Adds a bid; the maps are those of the statistics' key. */
export function addBid(
  statistics: BidStatistics,
  { auction, bidder, price }: SlimBid,
  seen: { readonly bidders: MapState<number, number>; readonly auctions: MapState<number, number> },
): void {
  statistics.totalBids++;
  const band = price < lowPrice ? 1 : price < highPrice ? 2 : 4;
  const newBidder = addSeen(seen.bidders, bidder, band);
  const newAuction = addSeen(seen.auctions, auction, band);
  if (newBidder === 'new') statistics.totalBidders++;
  if (newAuction === 'new') statistics.totalAuctions++;
  const bidders = newBidder === 'known' ? 0 : 1;
  const auctions = newAuction === 'known' ? 0 : 1;
  if (band === 1) {
    statistics.rank1Bids++;
    statistics.rank1Bidders += bidders;
    statistics.rank1Auctions += auctions;
  } else if (band === 2) {
    statistics.rank2Bids++;
    statistics.rank2Bidders += bidders;
    statistics.rank2Auctions += auctions;
  } else {
    statistics.rank3Bids++;
    statistics.rank3Bidders += bidders;
    statistics.rank3Auctions += auctions;
  }
}

/** Whether the id is new at all, new in its band, or known there. */
function addSeen(seen: MapState<number, number>, id: number, band: number): 'new' | 'new in band' | 'known' {
  const bands = seen.get(id) ?? 0;
  if ((bands & band) !== 0) return 'known';
  seen.set(id, bands | band);
  return bands === 0 ? 'new' : 'new in band';
}
