/**
 * A process that wants to lead: the real core of the election, with clocks that drift and jump, pauses and crashes. As leader
 * it acts now and then, and writes to etcd what only the leader may write.
 */
import type { EtcdKey, EtcdTransaction } from '../../jobmanager/etcd/etcd-api.ts';
import { ledIn, leaderKeyOf } from '../../jobmanager/etcd/etcd-keys.ts';
import { LeaderElection } from '../../jobmanager/model/leader-election.ts';
import {
  type LeaderElectionAction,
  leaderElectionDefaults,
  type LeaderElectionEvent,
  type LeaderKey,
} from '../../jobmanager/model/leader-election-protocol.ts';
import type { EtcdCaller, EtcdWorld, SimulatedEtcd } from './simulated-etcd.ts';
import type { Random } from './random.ts';

export const clusterPrefix = '/millrace';
export const writtenKey = `${clusterPrefix}/written`;
/** After a resignation: the process ends and is started anew. */
const startAgainMs = 500;
const leaderKey = leaderKeyOf(clusterPrefix);

export interface ContenderObserver {
  became(contender: SimulatedContender, epoch: number): void;
  /** It does something as leader in this epoch. */
  acted(contender: SimulatedContender, epoch: number): void;
  /** A guarded write was answered by etcd, at the moment it was decided there. */
  wrote(epoch: number, accepted: boolean): void;
  lost(contender: SimulatedContender, reason: string): void;
}

export interface SimulatedClock {
  /** Speed of both clocks beside that of the world. */
  readonly rate: number;
  /** What was added to the wall clock by hand. */
  wallJumpMs: number;
}

export class SimulatedContender implements EtcdCaller {
  readonly name: string;
  readonly cut = { outward: false, inward: false };
  readonly clock: SimulatedClock;
  pausedUntilMs = 0;
  readonly #world: EtcdWorld;
  readonly #etcd: SimulatedEtcd;
  readonly #random: Random;
  readonly #marginMs: number;
  readonly #observer: ContenderObserver;
  #election: LeaderElection | null = null;
  #starts = 0;
  #wake = 0;
  #stopWatch: () => void = () => undefined;

  constructor(
    name: string,
    world: {
      readonly world: EtcdWorld;
      readonly etcd: SimulatedEtcd;
      readonly random: Random;
      readonly marginMs: number;
    },
    clock: SimulatedClock,
    observer: ContenderObserver,
  ) {
    this.name = name;
    this.#world = world.world;
    this.#etcd = world.etcd;
    this.#random = world.random;
    this.#marginMs = world.marginMs;
    this.clock = clock;
    this.#observer = observer;
  }

  get alive(): boolean {
    return this.#election !== null;
  }

  get epoch(): number | null {
    return this.#election?.epochAt(this.#nowMs()) ?? null;
  }

  start(): void {
    const id = `${this.name} start ${++this.#starts}`;
    this.#election = new LeaderElection({
      ...leaderElectionDefaults,
      marginMs: this.#marginMs,
      id,
      address: this.name,
    });
    this.#receive({ kind: 'started' });
    this.#actLater();
  }

  crash(): void {
    this.#election = null;
    this.#stopWatch();
  }

  resign(): void {
    this.#receive({ kind: 'resign-requested' });
  }

  run(event: () => void): void {
    const start = this.#starts;
    const attempt = (): void => {
      if (!this.alive || this.#starts !== start) return;
      if (this.pausedUntilMs > this.#world.nowMs) this.#later(this.pausedUntilMs - this.#world.nowMs, attempt);
      else event();
    };
    attempt();
  }

  #nowMs(): number {
    return this.monotonicMs();
  }

  monotonicMs(): number {
    return 1_000 + this.#world.nowMs * this.clock.rate;
  }

  wallMs(): number {
    return 1_000_000 + this.#world.nowMs * this.clock.rate + this.clock.wallJumpMs;
  }

  #later(delayMs: number, run: () => void): void {
    this.#world.later(Math.max(0, delayMs), run);
  }

  #receive(event: LeaderElectionEvent): void {
    const environment = { nowMs: this.#nowMs(), random: this.#random.next() };
    for (const action of this.#election?.step(event, environment) ?? []) this.#act(action);
  }

  /** Takes events for this start of the process; what was asked before a crash concerns nobody. */
  #receiver(): (event: LeaderElectionEvent) => void {
    const start = this.#starts;
    return (event) => {
      if (start === this.#starts) this.#receive(event);
    };
  }

  #act(action: LeaderElectionAction): void {
    switch (action.kind) {
      case 'wake-at': {
        const wake = ++this.#wake;
        this.#later((action.atMs - this.#nowMs()) / this.clock.rate, () => {
          this.run(() => {
            if (wake === this.#wake) this.#receive({ kind: 'tick' });
          });
        });
        return;
      }
      case 'become-leader':
        return this.#observer.became(this, action.epoch);
      case 'lose-leadership':
        this.#observer.lost(this, action.reason);
        return this.#later(this.#random.between(0, 300), () => this.run(() => this.#receive({ kind: 'stepped-down' })));
      case 'report-failure':
        return;
      case 'resigned':
        this.crash();
        return this.#later(startAgainMs, () => {
          if (!this.alive) this.start();
        });
      default:
        return this.#ask(action);
    }
  }

  #ask(action: LeaderElectionAction): void {
    switch (action.kind) {
      case 'grant-lease': {
        const { request, ttlMs } = action;
        return this.#call(
          (model, nowMs) => model.grantLease(ttlMs, nowMs),
          ({ leaseId, ttlMs: granted }) => ({ kind: 'lease-granted', request, leaseId, ttlMs: granted }),
          (reason) => ({ kind: 'lease-failed', request, reason }),
        );
      }
      case 'revoke-lease': {
        const done = { kind: 'lease-revoked' as const, request: action.request };
        return this.#call(
          (model) => model.revokeLease(action.leaseId),
          () => done,
          () => done,
        );
      }
      case 'campaign':
        return this.#campaign(action.request, action.leaseId);
      case 'read-leader': {
        const { request } = action;
        const read = { when: [], apply: [{ kind: 'get' as const, key: leaderKey }], otherwise: [] };
        return this.#call(
          (model) => model.transact(read),
          ({ revision, found }) => ({ kind: 'leader-read', request, revision, leader: leaderOf(found[0]?.[0]) }),
          (reason) => ({ kind: 'leader-read-failed', request, reason }),
        );
      }
      case 'keep-alive': {
        const { request, leaseId } = action;
        return this.#call(
          (model, nowMs) => model.keepAlive(leaseId, nowMs),
          (ttlMs) => ({ kind: 'keepalive-answered', request, ttlMs }),
          (reason) => ({ kind: 'keepalive-failed', request, reason }),
        );
      }
      case 'watch-leader': {
        const { watch, fromRevision } = action;
        this.#stopWatch();
        const receive = this.#receiver();
        const onChange = (revision: number, key: EtcdKey | null): void =>
          receive({ kind: 'leader-changed', watch, revision, leader: leaderOf(key) });
        const watched = { key: leaderKey, next: fromRevision, onChange };
        this.#stopWatch = this.#etcd.watch(this, watched, () => receive({ kind: 'watch-ended', watch }));
        return;
      }
      default:
    }
  }

  #campaign(request: number, leaseId: string): void {
    const id = `${this.name} start ${this.#starts}`;
    const transaction: EtcdTransaction = {
      when: [{ key: leaderKey, target: 'create-revision', equals: 0 }],
      apply: [{ kind: 'put', key: leaderKey, value: JSON.stringify({ address: this.name, id }), leaseId }],
      otherwise: [{ kind: 'get', key: leaderKey }],
    };
    this.#call(
      (model) => model.transact(transaction),
      ({ succeeded: won, revision, found }) => {
        const ours = { address: this.name, id, createRevision: revision, leaseId };
        return { kind: 'campaign-answered', request, won, revision, leader: won ? ours : leaderOf(found[0]?.[0]) };
      },
      (reason) => ({ kind: 'campaign-failed', request, reason }),
    );
  }

  #call<T>(
    operate: Parameters<typeof SimulatedEtcd.prototype.call<T>>[1],
    answered: (result: T) => LeaderElectionEvent,
    failed: (reason: string) => LeaderElectionEvent,
  ): void {
    const receive = this.#receiver();
    this.#etcd.call(this, operate, {
      answered: (result) => receive(answered(result)),
      failed: (reason) => receive(failed(reason)),
    });
  }

  #actLater(): void {
    this.#later(this.#random.between(20, 120), () => {
      this.run(() => {
        const { epoch } = this;
        if (epoch !== null) this.#actAsLeader(epoch);
        this.#actLater();
      });
    });
  }

  #actAsLeader(epoch: number): void {
    this.#observer.acted(this, epoch);
    if (!this.#random.chance(0.3)) return;
    const write: EtcdTransaction = {
      when: [ledIn(clusterPrefix, epoch)],
      apply: [{ kind: 'put', key: writtenKey, value: String(epoch) }],
      otherwise: [],
    };
    const operate = (model: { transact(transaction: EtcdTransaction): { succeeded: boolean } }): void =>
      this.#observer.wrote(epoch, model.transact(write).succeeded);
    this.#etcd.call(this, operate, { answered: () => undefined, failed: () => undefined });
  }
}

function leaderOf(key: EtcdKey | null | undefined): LeaderKey | null {
  if (key === null || key === undefined) return null;
  const { address, id } = JSON.parse(key.value) as { address: string; id: string };
  return { address, id, createRevision: key.createRevision, leaseId: key.leaseId };
}
