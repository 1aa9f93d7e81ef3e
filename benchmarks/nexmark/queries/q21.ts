/** q21, channel ids: from the name of a hot channel, else from the URL; bids without one are left out. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

const idOfChannel = new Map([
  ['apple', '0'],
  ['google', '1'],
  ['facebook', '2'],
  ['baidu', '3'],
]);

const channelIdOf = (channel: string, url: string): string | undefined =>
  idOfChannel.get(channel.toLowerCase()) ?? /(?:&|^)channel_id=([^&]*)/.exec(url)?.[1];

export const q21 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).flatMap(({ auction, bidder, price, channel, url }) => {
    const channelId = channelIdOf(channel, url);
    return channelId === undefined ? [] : [{ auction, bidder, price, channel, channelId }];
  });
