import { expect, test } from 'vitest';
import { LeaderElection } from './leader-election.ts';
import {
  type LeaderElectionAction,
  leaderElectionDefaults,
  type LeaderElectionEvent,
  type LeaderKey,
} from './leader-election-protocol.ts';

const { leaseTtlMs, marginMs } = leaderElectionDefaults;

/** A core with its clock, and what it last asked for. */
class Bench {
  readonly election = new LeaderElection({ ...leaderElectionDefaults, id: 'me', address: 'here:1' });
  nowMs = 1_000;
  actions: LeaderElectionAction[] = [];

  step(event: LeaderElectionEvent): this {
    this.actions = this.election.step(event, { nowMs: this.nowMs, random: 0.5 });
    return this;
  }

  after(delayMs: number): this {
    this.nowMs += delayMs;
    return this;
  }

  /** The number of the request of a kind among the last actions. */
  request(kind: 'read-leader' | 'grant-lease' | 'campaign' | 'keep-alive' | 'revoke-lease'): number {
    const action = this.actions.find((candidate) => candidate.kind === kind);
    if (action === undefined || !('request' in action))
      throw new Error(`no ${kind} in ${JSON.stringify(this.actions)}`);
    return action.request;
  }

  get kinds(): string[] {
    return this.actions.map(({ kind }) => kind).filter((kind) => kind !== 'wake-at');
  }

  read(revision: number, leader: LeaderKey | null): this {
    return this.step({ kind: 'leader-read', request: this.request('read-leader'), revision, leader });
  }

  grant(leaseId: string): this {
    return this.step({ kind: 'lease-granted', request: this.request('grant-lease'), leaseId, ttlMs: leaseTtlMs });
  }

  win(revision: number, leaseId: string): this {
    const leader = keyOf('me', revision, leaseId);
    return this.step({ kind: 'campaign-answered', request: this.request('campaign'), won: true, revision, leader });
  }

  /** Leads in epoch 7 with lease "l". */
  lead(): this {
    this.step({ kind: 'started' }).read(5, null).grant('l').win(7, 'l');
    expect(this.kinds).toContain('become-leader');
    return this;
  }
}

const keyOf = (id: string, createRevision: number, leaseId = 'other'): LeaderKey => ({
  address: `${id}:1`,
  id,
  createRevision,
  leaseId,
});

test('a leader stops when its lease, counted from the sending of the last renewal, is nearly over', () => {
  const bench = new Bench().lead();
  const renewal = bench.request('keep-alive');
  expect(bench.election.epochAt(bench.nowMs)).toBe(7);
  bench.after(900).step({ kind: 'keepalive-answered', request: renewal, ttlMs: leaseTtlMs });
  // Sent at 1,000: the answer 900 ms later does not count.
  expect(bench.election.epochAt(1_000 + leaseTtlMs - marginMs - 1)).toBe(7);
  expect(bench.election.epochAt(1_000 + leaseTtlMs - marginMs)).toBeNull();
});

test('a process that was paused steps down before it looks at any answer', () => {
  const bench = new Bench().lead();
  const renewal = bench.request('keep-alive');
  bench.after(leaseTtlMs).step({ kind: 'keepalive-answered', request: renewal, ttlMs: leaseTtlMs });
  expect(bench.kinds).toEqual(['lose-leadership']);
});

test('a leader whose key cannot be read stops although its lease is renewed', () => {
  const bench = new Bench().lead();
  let lost = false;
  for (let round = 0; round < 20 && !lost; round++) {
    bench.after(500).step({ kind: 'tick' });
    for (const action of [...bench.actions]) {
      if (action.kind !== 'keep-alive') continue;
      bench.step({ kind: 'keepalive-answered', request: action.request, ttlMs: leaseTtlMs });
    }
    lost = bench.kinds.includes('lose-leadership');
  }
  expect(lost).toBe(true);
  expect(bench.nowMs).toBeLessThanOrEqual(1_000 + leaseTtlMs);
});

test('a leader steps down at once when its key is gone or of another revision, and not for older news', () => {
  const changed = (bench: Bench, revision: number, leader: LeaderKey | null): string[] =>
    bench.step({ kind: 'leader-changed', watch: 1, revision, leader }).kinds;
  expect(changed(new Bench().lead(), 6, null)).toEqual([]);
  expect(changed(new Bench().lead(), 8, null)).toEqual(['lose-leadership']);
  expect(changed(new Bench().lead(), 8, keyOf('other', 8))).toEqual(['lose-leadership']);
});

test('nothing new is tried before the process has stepped down whole, and then with a new lease', () => {
  const bench = new Bench().lead();
  bench.step({ kind: 'keepalive-answered', request: bench.request('keep-alive'), ttlMs: 0 });
  expect(bench.kinds).toEqual(['lose-leadership']);
  expect(bench.after(60_000).step({ kind: 'tick' }).kinds).toEqual([]);
  expect(bench.step({ kind: 'stepped-down' }).kinds).toEqual(['revoke-lease']);
  expect(bench.after(1_000).step({ kind: 'tick' }).read(9, null).kinds).toEqual(['grant-lease']);
});

test('the answer to an old campaign elects nobody', () => {
  const bench = new Bench().step({ kind: 'started' }).read(5, null).grant('first');
  const old = bench.request('campaign');
  bench.step({ kind: 'campaign-failed', request: old, reason: 'no answer' }).read(5, null);
  const leader = keyOf('me', 6, 'first');
  expect(bench.kinds).toEqual(['revoke-lease', 'grant-lease']);
  const grant = bench.request('grant-lease');
  bench.step({ kind: 'campaign-answered', request: old, won: true, revision: 6, leader });
  expect(bench.kinds).toEqual([]);
  bench.step({ kind: 'lease-granted', request: grant, leaseId: 'second', ttlMs: leaseTtlMs });
  const second = bench.request('campaign');
  // The old key is still there: it is ours, but not by the lease that we renew.
  bench.step({ kind: 'campaign-failed', request: second, reason: 'no answer' }).read(6, leader);
  expect(bench.kinds).not.toContain('become-leader');
  expect(bench.election.epochAt(bench.nowMs)).toBeNull();
});

test('a campaign whose answer was lost leads when the key carries its lease', () => {
  const bench = new Bench().step({ kind: 'started' }).read(5, null).grant('l');
  bench.step({ kind: 'campaign-failed', request: bench.request('campaign'), reason: 'no answer' });
  expect(bench.read(6, keyOf('me', 6, 'l')).actions).toContainEqual({ kind: 'become-leader', epoch: 6 });
});

test('a campaign that is won after the time of its lease does not lead', () => {
  const bench = new Bench().step({ kind: 'started' }).read(5, null).grant('l');
  bench.after(leaseTtlMs - marginMs).win(7, 'l');
  expect(bench.kinds).toEqual(['revoke-lease', 'report-failure']);
});

test('a standby campaigns when the key of the leader goes away, by watch or by reading', () => {
  const standby = (): Bench => new Bench().step({ kind: 'started' }).read(5, keyOf('other', 4));
  expect(standby().step({ kind: 'leader-changed', watch: 1, revision: 6, leader: null }).kinds).toEqual([
    'grant-lease',
  ]);
  const bench = standby().step({ kind: 'watch-ended', watch: 1 }).after(1_000).step({ kind: 'tick' });
  expect(bench.read(5, keyOf('other', 4)).kinds).toEqual(['watch-leader']);
  expect(bench.after(1_000).step({ kind: 'tick' }).read(6, null).kinds).toEqual(['grant-lease']);
});

test('a leader steps down when etcd has gone back to an older revision', () => {
  const bench = new Bench().lead().after(1_000).step({ kind: 'tick' });
  bench.read(3, keyOf('me', 7, 'l'));
  expect(bench.actions[0]).toMatchObject({ kind: 'lose-leadership', reason: expect.stringContaining('backup') });
});

test('who resigns steps down, ends its lease, and only then is done', () => {
  const bench = new Bench().lead().step({ kind: 'resign-requested' });
  expect(bench.kinds).toEqual(['lose-leadership']);
  bench.step({ kind: 'stepped-down' });
  expect(bench.kinds).toEqual(['revoke-lease']);
  expect(bench.step({ kind: 'lease-revoked', request: bench.request('revoke-lease') }).kinds).toEqual(['resigned']);
});

test('who resigns during a campaign ends its lease, so that the key cannot come later', () => {
  const bench = new Bench().step({ kind: 'started' }).read(5, null).grant('l').step({ kind: 'resign-requested' });
  expect(bench.actions).toContainEqual(expect.objectContaining({ kind: 'revoke-lease', leaseId: 'l' }));
});
