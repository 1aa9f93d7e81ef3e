/** q8, new users: people who joined and offered an auction in the same ten seconds, once each. */
import { emits, mapState, type Stream } from 'millrace';
import { type Auction, type NexmarkEvent, type Person, personType } from '../model.ts';
import { auctionsOf, peopleOf } from './views.ts';

interface NewSeller {
  readonly id: number;
  readonly name: string;
  readonly windowStart: number;
}

type Arrival =
  | Pick<Person, 'eventType' | 'id' | 'name' | 'dateTime'>
  | Pick<Auction, 'eventType' | 'seller' | 'dateTime'>;

const sizeMs = 10_000;

export function q8(events: Stream<NexmarkEvent>) {
  const people: Stream<Arrival> = peopleOf(events).map(({ eventType, id, name, dateTime }) => ({
    eventType,
    id,
    name,
    dateTime,
  }));
  const sellers: Stream<Arrival> = auctionsOf(events).map(({ eventType, seller, dateTime }) => ({
    eventType,
    seller,
    dateTime,
  }));
  return people
    .union(sellers)
    .keyBy((one) => (one.eventType === personType ? one.id : one.seller))
    .process(emits<NewSeller>(), {
      state: { windows: mapState<number, { name: string | null; sold: boolean }>() },
      onRecord(one, { key: id, state: { windows }, timers, emit }) {
        const windowStart = one.dateTime - (one.dateTime % sizeMs);
        const before = windows.get(windowStart);
        if (before === undefined) timers.registerEventTime(windowStart + sizeMs - 1);
        const name = one.eventType === personType ? one.name : (before?.name ?? null);
        const sold = one.eventType !== personType || before?.sold === true;
        if (before !== undefined && before.name === name && before.sold === sold) return;
        windows.set(windowStart, { name, sold });
        if (name !== null && sold) emit({ id, name, windowStart });
      },
      onTimer(timeMs, { state: { windows } }) {
        windows.delete(timeMs + 1 - sizeMs);
      },
    });
}
