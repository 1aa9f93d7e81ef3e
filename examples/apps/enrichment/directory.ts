/**
 * The directory of customers, as a service would answer: it is busy at times, does not know everybody, and sometimes never
 * answers. It is here so that the example needs no network; a real one is `fetch(url, { signal })`.
 */
import type { AsyncCallContext } from 'millrace';

const countries: Readonly<Record<string, string>> = { gil: 'PT', hal: 'NO', ivy: 'PT' };
/** Busy when asked for the first time. */
const slowToAnswer = 'hal';
/** Asked for this one the service hangs. */
const hangs = 'kim';

/** @throws Error (rejects) when the service is busy or does not know the customer */
export async function countryOf(customer: string, { attempt, signal }: AsyncCallContext): Promise<string> {
  if (customer === slowToAnswer && attempt === 1) throw new Error('503: busy');
  if (customer === hangs) {
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))));
  }
  const country = countries[customer];
  if (country === undefined) throw new Error(`404: no customer ${customer}`);
  return country;
}
