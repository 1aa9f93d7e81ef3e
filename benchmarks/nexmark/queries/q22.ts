/** q22, directories of the URL of each bid. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q22 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).map(({ auction, bidder, price, channel, url }) => {
    const [, , , dir1 = '', dir2 = '', dir3 = ''] = url.split('/');
    return { auction, bidder, price, channel, dir1, dir2, dir3 };
  });
