import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EngineError, toWireError, type WireError } from '../../core/errors.ts';
import { type LeaderAction, LeaderFollowing } from './leader-following.ts';

const options = { addresses: ['a', 'b'], heartbeatIntervalMs: 1_000, searchPauseMs: 200, orphanTimeoutMs: 10_000 };
const errorOf = (
  code: 'TRANSPORT_FAILED' | 'STALE_EPOCH' | 'NOT_LEADER' | 'PROTOCOL',
  ids: Record<string, string | number> = {},
) => toWireError(new EngineError(code, code.toLowerCase(), { ids }));
const kinds = (actions: readonly LeaderAction[]): string[] =>
  actions.map((action) => ('address' in action ? `${action.kind} ${action.address}` : action.kind));

const answered = (address: string, epoch: number | null, error: WireError | null = null) =>
  ({ kind: 'register-answered', address, epoch, error }) as const;

function registered(epoch = 3): LeaderFollowing {
  const following = new LeaderFollowing(options);
  following.step({ kind: 'started' }, 0);
  following.step(answered('a', epoch), 0);
  return following;
}

test('job managers are asked in turn, whoever says who leads is believed, and then there is a pause', () => {
  const following = new LeaderFollowing({ ...options, addresses: ['a', 'b', 'c'] });
  expect(kinds(following.step({ kind: 'started' }, 0))).toEqual(['register a']);
  const hint = errorOf('NOT_LEADER', { leaderAddress: 'c' });
  expect(kinds(following.step(answered('a', null, hint), 1))).toEqual(['register c']);
  expect(kinds(following.step(answered('c', null, errorOf('TRANSPORT_FAILED')), 2))).toEqual(['register b']);
  expect(kinds(following.step(answered('b', null, errorOf('NOT_LEADER')), 3))).toEqual(['set-timer']);
  expect(kinds(following.step({ kind: 'timer' }, 203))).toEqual(['register a']);
  expect(kinds(following.step(answered('a', 7), 204))).toEqual(['follow a', 'set-timer']);
  expect(following.epoch).toBe(7);
});

test('a leader of an older epoch than one that was followed is not followed', () => {
  const following = registered(5);
  following.step({ kind: 'heartbeat-answered', epoch: 5, error: errorOf('TRANSPORT_FAILED') }, 10);
  expect(kinds(following.step(answered('a', 4), 11))).toEqual(['register b']);
  expect(following.isRegistered).toBe(false);
  expect(kinds(following.step(answered('b', 6), 12))).toEqual(['follow b', 'set-timer']);
});

test('another leader at the same address is registered with, and what runs goes on', () => {
  const following = registered(3);
  const error = errorOf('STALE_EPOCH', { leaderEpoch: 4 });
  expect(kinds(following.step({ kind: 'heartbeat-answered', epoch: 3, error }, 10))).toEqual(['register a']);
});

test('everything is ended when the leader that is followed does not know the task manager any more', () => {
  const following = registered(3);
  const actions = following.step({ kind: 'heartbeat-answered', epoch: 3, error: errorOf('STALE_EPOCH') }, 10);
  expect(kinds(actions)).toEqual(['end-everything', 'register a']);
});

test('everything is ended once when nobody leads for the orphan timeout, and the search goes on', () => {
  const following = registered(3);
  following.step({ kind: 'heartbeat-answered', epoch: 3, error: errorOf('TRANSPORT_FAILED') }, 1_000);
  const fail = (nowMs: number): void => {
    for (const address of ['a', 'b']) following.step(answered(address, null, errorOf('TRANSPORT_FAILED')), nowMs);
  };
  fail(1_100);
  expect(kinds(following.step({ kind: 'timer' }, 10_999))).toEqual(['register a']);
  fail(10_999);
  expect(kinds(following.step({ kind: 'timer' }, 11_000))).toEqual(['end-everything', 'register a']);
  fail(11_001);
  expect(kinds(following.step({ kind: 'timer' }, 11_201))).toEqual(['register a']);
});

test('a report is sent again until it is taken, after a registration when the leader is gone', () => {
  const following = registered(3);
  expect(kinds(following.step({ kind: 'report-added' }, 1))).toEqual(['send-report a']);
  expect(kinds(following.step({ kind: 'report-added' }, 2))).toEqual([]);
  const lost = errorOf('TRANSPORT_FAILED');
  expect(kinds(following.step({ kind: 'report-answered', epoch: 3, error: lost }, 3))).toEqual(['register a']);
  expect(kinds(following.step(answered('a', 4), 4))).toEqual(['follow a', 'set-timer', 'send-report a']);
  expect(kinds(following.step({ kind: 'report-answered', epoch: 4, error: null }, 5))).toEqual([
    'forget-report',
    'send-report a',
  ]);
  const refused = following.step({ kind: 'report-answered', epoch: 4, error: errorOf('PROTOCOL') }, 6);
  expect(refused).toEqual([{ kind: 'forget-report', refusal: expect.objectContaining({ code: 'PROTOCOL' }) }]);
});

test('the answer to a report that was dropped meanwhile forgets no other one', () => {
  const following = registered(3);
  following.step({ kind: 'report-added' }, 1);
  following.step({ kind: 'heartbeat-answered', epoch: 3, error: errorOf('STALE_EPOCH') }, 2);
  following.step(answered('a', 3), 3);
  following.step({ kind: 'report-added' }, 4);
  expect(kinds(following.step({ kind: 'report-answered', epoch: 3, error: null }, 5))).toEqual(['send-report a']);
});

test('no report is forgotten that was not answered, at most one is under way, and epochs never go down', () => {
  const code = fc.constantFrom('TRANSPORT_FAILED', 'STALE_EPOCH', 'NOT_LEADER', 'PROTOCOL', null);
  const happening = fc.record({
    kind: fc.constantFrom('answer-registration', 'answer-report', 'heartbeat', 'timer', 'add'),
    code,
    epoch: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      const following = new LeaderFollowing(options);
      let nowMs = 0;
      let added = 0;
      let forgotten = 0;
      let dropped = 0;
      let asked: string | null = null;
      let sent: { epoch: number } | null = null;
      let epoch = 0;
      const take = (actions: readonly LeaderAction[]): void => {
        for (const action of actions) {
          if (action.kind === 'register') asked = action.address;
          if (action.kind === 'send-report') {
            expect(sent).toBeNull();
            sent = { epoch: action.epoch };
          }
          if (action.kind === 'forget-report') forgotten++;
          if (action.kind === 'end-everything') dropped = added - forgotten;
          if (action.kind === 'end-everything') forgotten += dropped;
          if (action.kind === 'follow') {
            expect(action.epoch).toBeGreaterThanOrEqual(epoch);
            epoch = action.epoch;
          }
          expect(forgotten).toBeLessThanOrEqual(added);
        }
      };
      take(following.step({ kind: 'started' }, 0));
      for (const one of happenings) {
        nowMs += 100;
        const error = one.code === null ? null : errorOf(one.code);
        if (one.kind === 'add') {
          added++;
          take(following.step({ kind: 'report-added' }, nowMs));
        } else if (one.kind === 'timer') take(following.step({ kind: 'timer' }, nowMs));
        else if (one.kind === 'heartbeat') take(following.step({ kind: 'heartbeat-answered', epoch, error }, nowMs));
        else if (one.kind === 'answer-registration' && asked !== null) {
          const address: string = asked;
          asked = null;
          take(following.step(answered(address, error === null ? one.epoch : null, error), nowMs));
        } else if (one.kind === 'answer-report' && sent !== null) {
          const { epoch: sentEpoch }: { epoch: number } = sent;
          sent = null;
          take(following.step({ kind: 'report-answered', epoch: sentEpoch, error }, nowMs));
        }
        // Whoever is registered works on what there is.
        if (following.isRegistered && added > forgotten) expect(sent).not.toBeNull();
      }
    }),
    { numRuns: 1_000 },
  );
});
