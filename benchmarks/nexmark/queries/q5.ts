/** q5, hot items: every two seconds, the auctions with the most bids of the last ten. */
import { count, emits, seconds, sliding, type Stream, valueState } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

interface HotItem {
  readonly auction: number;
  readonly windowEnd: number;
  readonly bids: number;
}

export function q5(events: Stream<NexmarkEvent>) {
  return bidsOf(events)
    .map(({ auction }) => ({ auction }))
    .keyBy((bid) => bid.auction)
    .window(sliding(seconds(10), seconds(2)))
    .aggregate({ bids: count() })
    .keyBy((counted) => counted.windowEnd)
    .process(emits<HotItem>(), {
      state: { hottest: valueState<{ bids: number; auctions: number[] }>() },
      onRecord({ key: auction, bids }, { key: windowEnd, state: { hottest }, timers }) {
        const most = hottest.value();
        if (most === undefined || bids > most.bids) {
          if (most === undefined) timers.registerEventTime(windowEnd - 1);
          hottest.update({ bids, auctions: [auction] });
        } else if (bids === most.bids) {
          most.auctions.push(auction);
          hottest.update(most);
        }
      },
      onTimer(_, { key: windowEnd, state: { hottest }, emit }) {
        const { bids, auctions } = hottest.value() ?? { bids: 0, auctions: [] };
        for (const auction of auctions) emit({ auction, windowEnd, bids });
        hottest.clear();
      },
    });
}
