/**
 * The counts of q15 and q16: bids, distinct bidders and distinct auctions, in all and in three bands of prices, as a set of
 * aggregates.
 */
import { count, countDistinct, filtered } from 'millrace';
import { highPrice, lowPrice } from './views.ts';

interface SlimBid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
}

const isRank1 = (bid: SlimBid): boolean => bid.price < lowPrice;
const isRank2 = (bid: SlimBid): boolean => bid.price >= lowPrice && bid.price < highPrice;
const isRank3 = (bid: SlimBid): boolean => bid.price >= highPrice;
const bidders = countDistinct((bid: SlimBid) => bid.bidder);
const auctions = countDistinct((bid: SlimBid) => bid.auction);

export const bidCounts = {
  totalBids: count(),
  rank1Bids: filtered(count(), isRank1),
  rank2Bids: filtered(count(), isRank2),
  rank3Bids: filtered(count(), isRank3),
  totalBidders: bidders,
  rank1Bidders: filtered(bidders, isRank1),
  rank2Bidders: filtered(bidders, isRank2),
  rank3Bidders: filtered(bidders, isRank3),
  totalAuctions: auctions,
  rank1Auctions: filtered(auctions, isRank1),
  rank2Auctions: filtered(auctions, isRank2),
  rank3Auctions: filtered(auctions, isRank3),
} as const;
