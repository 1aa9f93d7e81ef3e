/**
 * q3, local item suggestion: who sells in category 10 in three states. An incremental join of people and auctions without
 * an end: auctions wait for a seller who is not known yet, and a seller stays.
 */
import { emits, type Stream, valueState } from 'millrace';
import { type Auction, type NexmarkEvent, type Person, personType } from '../model.ts';
import { auctionsOf, peopleOf } from './views.ts';

interface Offer {
  readonly name: string;
  readonly city: string;
  readonly state: string;
  readonly id: number;
}

const states = ['OR', 'ID', 'CA'];

export function q3(events: Stream<NexmarkEvent>) {
  const auctions = auctionsOf(events)
    .filter((auction) => auction.category === 10)
    .map(({ eventType, id, seller }): Pick<Auction, 'eventType' | 'id' | 'seller'> => ({ eventType, id, seller }));
  const people = peopleOf(events)
    .filter((person) => states.includes(person.state))
    .map(
      ({ eventType, id, name, city, state }): Pick<Person, 'eventType' | 'id' | 'name' | 'city' | 'state'> => ({
        eventType,
        id,
        name,
        city,
        state,
      }),
    );
  return (auctions as Stream<Arrival>)
    .union(people)
    .keyBy((one) => (one.eventType === personType ? one.id : one.seller))
    .process(emits<Offer>(), {
      state: { seller: valueState<Seller>(), waiting: valueState<number[]>() },
      onRecord(one, { state: { seller, waiting }, emit }) {
        if (one.eventType === personType) {
          const { name, city, state } = one;
          seller.update({ name, city, state });
          for (const id of waiting.value() ?? []) emit({ name, city, state, id });
          waiting.clear();
          return;
        }
        const known = seller.value();
        if (known !== undefined) emit({ name: known.name, city: known.city, state: known.state, id: one.id });
        else waiting.update([...(waiting.value() ?? []), one.id]);
      },
    });
}

type Seller = Pick<Person, 'name' | 'city' | 'state'>;
type Arrival = Pick<Auction, 'eventType' | 'id' | 'seller'> | (Seller & Pick<Person, 'eventType' | 'id'>);
