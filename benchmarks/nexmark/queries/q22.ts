/** q22, directories of the URL of each bid. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

/** Where a part that begins at `start` ends. */
function endOfPart(url: string, start: number): number {
  const end = url.indexOf('/', start);
  return end < 0 ? url.length : end;
}

export const q22 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).map(({ auction, bidder, price, channel, url }) => {
    // Parts 3, 4 and 5 of the URL; `split` would make all seven and an array.
    const hostEnd = endOfPart(url, endOfPart(url, endOfPart(url, 0) + 1) + 1);
    const end1 = endOfPart(url, hostEnd + 1);
    const end2 = endOfPart(url, end1 + 1);
    return {
      auction,
      bidder,
      price,
      channel,
      dir1: url.slice(hostEnd + 1, end1),
      dir2: url.slice(end1 + 1, end2),
      dir3: url.slice(end2 + 1, endOfPart(url, end2 + 1)),
    };
  });
