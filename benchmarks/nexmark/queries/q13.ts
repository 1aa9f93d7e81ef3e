/** q13, bounded side input: each bid with a value looked up in a table that every subtask has read beforehand. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export interface SideRow {
  readonly key: number;
  readonly value: string;
}

export const sideRows = 10_000;

export const q13 = (events: Stream<NexmarkEvent>, side: Stream<SideRow>) =>
  bidsOf(events)
    .broadcastInput(side, (rows) => new Map(rows.map(({ key, value }) => [key, value])))
    .flatMap(({ auction, bidder, price, dateTime }, values) => {
      const value = values.get(auction % sideRows);
      return value === undefined ? [] : [{ auction, bidder, price, dateTime, value }];
    });
