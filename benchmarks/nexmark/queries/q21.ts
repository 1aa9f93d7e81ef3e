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

const parameter = 'channel_id=';

/** Group 2 of `(&|^)channel_id=([^&]*)`, without the cost of a match. */
function parameterOf(url: string): string | undefined {
  const at = url.startsWith(parameter) ? 0 : url.indexOf(`&${parameter}`) + 1;
  if (at === 0 && !url.startsWith(parameter)) return undefined;
  const end = url.indexOf('&', at);
  return url.slice(at + parameter.length, end < 0 ? url.length : end);
}

const channelIdOf = (channel: string, url: string): string | undefined =>
  idOfChannel.get(channel.toLowerCase()) ?? parameterOf(url);

export const q21 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).flatMap(({ auction, bidder, price, channel, url }) => {
    const channelId = channelIdOf(channel, url);
    return channelId === undefined ? [] : [{ auction, bidder, price, channel, channelId }];
  });
