/**
 * The events of Nexmark: people offer auctions, and bid. One stream carries all three, told apart by `eventType`, as the
 * Flink port does with one row of three nullable rows.
 */
export const personType = 0;
export const auctionType = 1;
export const bidType = 2;

/** Somebody new on the site. */
export interface Person {
  readonly eventType: typeof personType;
  readonly id: number;
  readonly name: string;
  readonly emailAddress: string;
  readonly creditCard: string;
  readonly city: string;
  readonly state: string;
  /** Epoch ms, here and in the others. */
  readonly dateTime: number;
  readonly extra: string;
}

/** Something new to bid for. */
export interface Auction {
  readonly eventType: typeof auctionType;
  readonly id: number;
  readonly itemName: string;
  readonly description: string;
  readonly initialBid: number;
  readonly reserve: number;
  readonly dateTime: number;
  readonly expires: number;
  /** Id of a person. */
  readonly seller: number;
  readonly category: number;
  readonly extra: string;
}

/** An offer for an auction. */
export interface Bid {
  readonly eventType: typeof bidType;
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly dateTime: number;
  readonly extra: string;
}

export type NexmarkEvent = Person | Auction | Bid;

export const isPerson = (event: NexmarkEvent): event is Person => event.eventType === personType;
export const isAuction = (event: NexmarkEvent): event is Auction => event.eventType === auctionType;
export const isBid = (event: NexmarkEvent): event is Bid => event.eventType === bidType;
