import { expect, test } from 'vitest';
import { LeaderSearch, type SearchStep } from './leader-search.ts';

const ask = (address: string): SearchStep => ({ kind: 'ask', address });
const refused = (address: string) => ({ kind: 'failed', address, reason: 'refused' }) as const;
const standby = (address: string, leader: string | null) => ({ kind: 'not-leader', address, leader }) as const;

test('a search asks who led at last first, then the others in their order', () => {
  const search = new LeaderSearch(['a', 'b', 'c'], 'b', 1000);
  expect(search.begin()).toEqual(ask('b'));
  expect(search.outcome(refused('b'), 0)).toEqual(ask('a'));
  expect(search.outcome(refused('a'), 0)).toEqual(ask('c'));
});

test('a search follows the address a standby names, though it is not in the list', () => {
  const search = new LeaderSearch(['a', 'b'], null, 1000);
  expect(search.begin()).toEqual(ask('a'));
  expect(search.outcome(standby('a', 'x'), 0)).toEqual(ask('x'));
  expect(search.outcome(refused('x'), 0)).toEqual(ask('b'));
});

test('a search gives up at once when nobody is there, with a reason for each', () => {
  const search = new LeaderSearch(['a', 'b'], null, 1000);
  search.begin();
  search.outcome(refused('a'), 0);
  const reasons = new Map([
    ['a', 'refused'],
    ['b', 'refused'],
  ]);
  expect(search.outcome(refused('b'), 0)).toEqual({ kind: 'give-up', reasons });
});

test('a search waits for an election while somebody is there, and gives up when its patience ends', () => {
  const search = new LeaderSearch(['a', 'b'], null, 1000);
  const round = (first: SearchStep, elapsedMs: number): SearchStep => {
    expect(first).toEqual(ask('a'));
    // Names the leader that has died.
    expect(search.outcome(standby('a', 'b'), elapsedMs)).toEqual(ask('b'));
    return search.outcome(refused('b'), elapsedMs);
  };
  expect(round(search.begin(), 0)).toEqual({ kind: 'pause', delayMs: 100 });
  expect(round(search.pauseOver(), 100)).toEqual({ kind: 'pause', delayMs: 200 });
  expect(round(search.pauseOver(), 900)).toEqual({ kind: 'pause', delayMs: 100 });
  expect(round(search.pauseOver(), 1000)).toMatchObject({ kind: 'give-up' });
});

test('a search ends when two standbys name each other', () => {
  const search = new LeaderSearch(['a', 'b'], null, 1000);
  search.begin();
  expect(search.outcome(standby('a', 'b'), 0)).toEqual(ask('b'));
  expect(search.outcome(standby('b', 'a'), 0)).toMatchObject({ kind: 'pause' });
});
