/**
 * The shell of a leader election: asks etcd what the model wants asked, keeps its one timer, and tells what came of it. It
 * holds no decisions.
 */
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { Clock } from '../clock.ts';
import type { Leader, Leadership, LeadershipCallbacks } from '../leadership.ts';
import { LeaderElection } from '../model/leader-election.ts';
import {
  type LeaderElectionAction,
  leaderElectionDefaults,
  type LeaderElectionEvent,
  type LeaderKey,
} from '../model/leader-election-protocol.ts';
import { type EtcdApi, type EtcdKey, foundKey, readKey } from './etcd-api.ts';
import { checkPrefix, leaderKeyOf } from './etcd-keys.ts';

export interface EtcdLeadershipOptions {
  readonly etcd: EtcdApi;
  /** What all keys of the cluster start with, without a slash at its end. */
  readonly prefix: string;
  /** Where this process is reached when it leads. */
  readonly address: string;
  /** Unique for this start of the process. */
  readonly id: string;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: { info(message: string): void; warn(message: string): void };
  /** Default 5,000; whole seconds, at least 2,000. */
  readonly leaseTtlMs?: number;
  /** How much before the end of its lease a leader stops. Default a fifth of it. */
  readonly marginMs?: number;
}

export class EtcdLeadership implements Leadership {
  readonly #options: EtcdLeadershipOptions;
  readonly #leaderKey: string;
  readonly #election: LeaderElection;
  #callbacks: LeadershipCallbacks | null = null;
  readonly #queue: LeaderElectionEvent[] = [];
  #stepping = false;
  #stopTimer: () => void = () => undefined;
  #stopWatch: () => void = () => undefined;
  #lastFailure = '';
  #broken = false;
  #ended: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null;

  /** @throws EngineError CONFIG_INVALID */
  constructor(options: EtcdLeadershipOptions) {
    this.#options = options;
    this.#leaderKey = leaderKeyOf(options.prefix);
    const { id, address, leaseTtlMs = leaderElectionDefaults.leaseTtlMs } = options;
    const marginMs = options.marginMs ?? leaseTtlMs / 5;
    checkPrefix(options.prefix);
    checkLease(leaseTtlMs, marginMs);
    // A leader that cannot read its key stops too, so several readings must fit into a lease.
    const pollMs = Math.min(leaderElectionDefaults.pollMs, (leaseTtlMs - marginMs) / 4);
    this.#election = new LeaderElection({ ...leaderElectionDefaults, id, address, leaseTtlMs, marginMs, pollMs });
  }

  async start(callbacks: LeadershipCallbacks): Promise<void> {
    this.#callbacks = callbacks;
    this.#receive({ kind: 'started' });
  }

  current(): Leader | null {
    const { address, id, clock } = this.#options;
    const epoch = this.#election.epochAt(clock.nowMs());
    if (epoch !== null) return { address, epoch, isSelf: true };
    const known = this.#election.known;
    if (known === null || known.id === id) return null;
    return { address: known.address, epoch: known.createRevision, isSelf: false };
  }

  resign(): Promise<void> {
    if (this.#callbacks === null || this.#broken) return Promise.resolve();
    if (this.#ended === null) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#ended = { promise, resolve };
      this.#receive({ kind: 'resign-requested' });
    }
    return this.#ended.promise;
  }

  /** Events that come up while actions are done wait their turn, so the model is never entered twice. */
  #receive(event: LeaderElectionEvent): void {
    this.#queue.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const { clock, random } = this.#options;
        const actions = this.#election.step(next, { nowMs: clock.nowMs(), random: random() });
        for (const action of actions) this.#act(action);
      }
    } finally {
      this.#stepping = false;
    }
  }

  #act(action: LeaderElectionAction): void {
    switch (action.kind) {
      case 'wake-at':
        return this.#wakeAt(action.atMs);
      case 'grant-lease':
        return this.#grant(action.request, action.ttlMs);
      case 'revoke-lease':
        return this.#revoke(action.request, action.leaseId);
      case 'campaign':
        return this.#campaign(action.request, action.leaseId);
      case 'read-leader':
        return this.#read(action.request);
      case 'keep-alive':
        return this.#keepAlive(action.request, action.leaseId);
      case 'watch-leader':
        return this.#watch(action.watch, action.fromRevision);
      case 'become-leader':
        this.#lastFailure = '';
        this.#options.logger.info(`leads from now on, in epoch ${action.epoch}`);
        return this.#callbacks?.onLeader(action.epoch);
      case 'lose-leadership':
        return this.#lose(action.epoch, action.reason);
      case 'report-failure':
        return this.#report(action.reason);
      case 'resigned':
        this.#stopTimer();
        this.#stopWatch();
        this.#ended?.resolve();
    }
  }

  #wakeAt(atMs: number): void {
    this.#stopTimer();
    const { clock } = this.#options;
    this.#stopTimer = clock.setTimer(Math.max(0, atMs - clock.nowMs()), () => this.#receive({ kind: 'tick' }));
  }

  #grant(request: number, ttlMs: number): void {
    this.#options.etcd.grantLease(ttlMs).then(
      (lease) => this.#receive({ kind: 'lease-granted', request, leaseId: lease.leaseId, ttlMs: lease.ttlMs }),
      (error: unknown) => this.#receive({ kind: 'lease-failed', request, reason: textOf(error) }),
    );
  }

  #revoke(request: number, leaseId: string): void {
    const done = (): void => this.#receive({ kind: 'lease-revoked', request });
    // One that cannot be ended ends by itself.
    this.#options.etcd.revokeLease(leaseId).then(done, done);
  }

  #campaign(request: number, leaseId: string): void {
    const { etcd, address, id } = this.#options;
    const key = this.#leaderKey;
    const transaction = {
      when: [{ key, target: 'create-revision' as const, equals: 0 }],
      apply: [{ kind: 'put' as const, key, value: JSON.stringify({ address, id }), leaseId }],
      otherwise: [{ kind: 'get' as const, key }],
    };
    etcd.transact(transaction).then(
      (result) => {
        const { succeeded: won, revision } = result;
        const ours = { address, id, createRevision: revision, leaseId };
        const leader = won ? ours : leaderOf(foundKey(result, 0));
        this.#receive({ kind: 'campaign-answered', request, won, revision, leader });
      },
      (error: unknown) => this.#receive({ kind: 'campaign-failed', request, reason: textOf(error) }),
    );
  }

  #read(request: number): void {
    readKey(this.#options.etcd, this.#leaderKey).then(
      ({ revision, key }) => this.#receive({ kind: 'leader-read', request, revision, leader: leaderOf(key) }),
      (error: unknown) => this.#receive({ kind: 'leader-read-failed', request, reason: textOf(error) }),
    );
  }

  #keepAlive(request: number, leaseId: string): void {
    this.#options.etcd.keepAlive(leaseId).then(
      (ttlMs) => this.#receive({ kind: 'keepalive-answered', request, ttlMs }),
      (error: unknown) => this.#receive({ kind: 'keepalive-failed', request, reason: textOf(error) }),
    );
  }

  #watch(watch: number, fromRevision: number): void {
    this.#stopWatch();
    this.#stopWatch = this.#options.etcd.watch(this.#leaderKey, fromRevision, {
      onChange: ({ revision, key }) =>
        this.#receive({ kind: 'leader-changed', watch, revision, leader: leaderOf(key) }),
      onEnd: () => this.#receive({ kind: 'watch-ended', watch }),
    });
  }

  #lose(epoch: number, reason: string): void {
    const { logger } = this.#options;
    logger.warn(`leads no more (epoch ${epoch}): ${reason}`);
    const steppingDown = async (): Promise<void> => this.#callbacks?.onLost(reason);
    steppingDown().then(
      () => this.#receive({ kind: 'stepped-down' }),
      // It may still act as leader somewhere, so it must not lead again.
      (error: unknown) => {
        // It may still act as leader somewhere, so it must not lead again. Its lease ends by itself.
        const consequence = 'so this process does not try to lead again → start it anew';
        logger.warn(`stepping down failed, ${consequence}: ${textOf(error)}`);
        this.#broken = true;
        this.#ended?.resolve();
      },
    );
  }

  /** The same failure again and again is told once. */
  #report(reason: string): void {
    if (reason === this.#lastFailure) return;
    this.#lastFailure = reason;
    this.#options.logger.warn(`leader election: ${reason}`);
  }
}

/** The shortest lease that etcd grants with its default election timeout. */
const leaseTtlMsMin = 2_000;

function checkLease(leaseTtlMs: number, marginMs: number): void {
  if (leaseTtlMs >= leaseTtlMsMin && leaseTtlMs % 1000 === 0 && marginMs > 0 && marginMs <= leaseTtlMs / 2) return;
  const message = `a lease of ${leaseTtlMs} ms with a margin of ${marginMs} ms cannot be used → take whole seconds, at least ${leaseTtlMsMin / 1000}, and a margin of at most half of it`;
  throw new EngineError('CONFIG_INVALID', message);
}

function leaderOf(key: EtcdKey | null): LeaderKey | null {
  if (key === null) return null;
  const { createRevision, leaseId } = key;
  return { ...decodeLeader(key.value), createRevision, leaseId };
}

/** A key that somebody wrote by hand leads too, at an address nobody knows. */
function decodeLeader(value: string): { readonly address: string; readonly id: string } {
  try {
    const { address, id } = JSON.parse(value) as Record<string, unknown>;
    if (typeof address === 'string' && typeof id === 'string') return { address, id };
  } catch {
    // Not ours: told by the address.
  }
  return { address: '(unknown)', id: '' };
}

function textOf(error: unknown): string {
  if (isEngineError(error) || error instanceof Error) return error.message;
  return String(error);
}
