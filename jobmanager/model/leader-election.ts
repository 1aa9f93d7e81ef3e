/**
 * Who leads among several job managers, by one key of etcd that lives as long as its lease:
 *
 *     reading ──nobody──▶ granting ──lease──▶ campaigning ──key made──▶ leading
 *        ▲ └──somebody──▶ waiting ◀──key there──┘  │ no answer              │ deadline passed, key or lease gone
 *        │                   │ key gone: granting  ▼                        ▼
 *        └─────pause◀────────┴──────────────── confirming              stepping-down ──▶ pausing
 *
 * The create revision of the key is the epoch of the leader: it only grows, whoever makes the key.
 *
 * - **It stops by itself.** A lease ends at the earliest its time to live after the last renewal was *sent*, so a leader that
 *   was not renewed stops that long after sending, less a margin. Nothing has to be heard for it, and a process that was
 *   paused stops before it does anything else (`epochAt`). etcd3's own lease says "lost" at twice the time to live, by the
 *   wall clock; two would lead in between.
 * - **Nobody is elected by an old campaign.** Each campaign has a lease of its own, and only the answer awaited now counts. A
 *   key that a campaign made whose answer was lost is taken only when it carries the lease we hold and renew.
 * - **A key that is gone, or was made by somebody else, ends the lead at once**, whatever our lease says. It is watched and read;
 *   a leader that could not read it for as long as a lease lasts stops too. A reading is agreed on by a majority of etcd, which the
 *   renewal of a lease is not: a member that was cut off may still grant it.
 *
 * After a loss the process first steps down whole, then it tries again with a new lease.
 */
import { assert, assertNever } from '../../core/errors.ts';
import type {
  LeaderElectionAction,
  LeaderElectionEnvironment,
  LeaderElectionEvent,
  LeaderElectionOptions,
  LeaderKey,
} from './leader-election-protocol.ts';

interface HeldLease {
  readonly leaseId: string;
  readonly ttlMs: number;
  /** From here on etcd may have dropped it, margin taken off. */
  deadlineMs: number;
}

interface Leading {
  readonly name: 'leading';
  readonly epoch: number;
  readonly lease: HeldLease;
  /** From here on the key may be gone although the lease is not: as long after it was last asked for and seen. */
  confirmedUntilMs: number;
  /** Renewals under way: request → when it was sent. */
  readonly renewals: Map<number, number>;
  nextRenewalMs: number;
}

type Phase =
  | { readonly name: 'idle' }
  | { readonly name: 'pausing'; readonly untilMs: number }
  | { readonly name: 'reading'; readonly request: number }
  | { readonly name: 'waiting' }
  | { readonly name: 'granting'; readonly request: number; readonly sentAtMs: number }
  | { readonly name: 'campaigning'; readonly request: number; readonly lease: HeldLease }
  | { readonly name: 'confirming'; readonly request: number; readonly lease: HeldLease }
  | Leading
  | { readonly name: 'stepping-down'; readonly leaseId: string }
  | { readonly name: 'resigning'; readonly request: number };

/** Reading the key now and then. */
interface Poll {
  /** Null when none is under way. */
  readonly request: number | null;
  readonly dueMs: number;
  readonly sentAtMs: number;
  /** What had been seen when it was asked: the answer cannot be older, unless etcd has stepped back. */
  readonly seenRevision: number;
}

/** When this leader stops unless it hears from etcd before. */
function deadlineOf({ lease, confirmedUntilMs }: Leading): number {
  return Math.min(lease.deadlineMs, confirmedUntilMs);
}

/** Renewals sent in the time a lease lasts without one. */
const renewalsPerLease = 4;
/** Renewals under way at once: one that hangs must not hold up the next. */
const renewalsMax = 4;

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #renewalMs: number;
  #phase: Phase = { name: 'idle' };
  #actions: LeaderElectionAction[] = [];
  #nowMs = 0;
  #random = 0;
  #requests = 0;
  #known: LeaderKey | null = null;
  /** Revision of the newest look at the key: older news mean nothing. */
  #seenRevision = 0;
  #watches = 0;
  /** Number of the watch that runs. */
  #watch: number | null = null;
  #poll: Poll = { request: null, dueMs: Number.POSITIVE_INFINITY, sentAtMs: 0, seenRevision: 0 };
  #wakeAtMs: number | null = null;
  #resigning = false;

  constructor(options: LeaderElectionOptions) {
    const { leaseTtlMs, marginMs } = options;
    assert(marginMs > 0 && marginMs < leaseTtlMs, `margin ${marginMs} ms is not below the lease of ${leaseTtlMs} ms`);
    this.#options = options;
    this.#renewalMs = Math.floor((leaseTtlMs - marginMs) / renewalsPerLease);
  }

  /** The leader as far as known here, this process or another; null when there is none or nobody could be asked yet. */
  get known(): LeaderKey | null {
    return this.#known;
  }

  /** The epoch in which this process leads now; null when it does not, or not any more. To be asked before acting. */
  epochAt(nowMs: number): number | null {
    const phase = this.#phase;
    return phase.name === 'leading' && nowMs < deadlineOf(phase) ? phase.epoch : null;
  }

  step(event: LeaderElectionEvent, environment: LeaderElectionEnvironment): LeaderElectionAction[] {
    this.#nowMs = environment.nowMs;
    this.#random = environment.random;
    // First of all: an answer that comes after the deadline must not save a lead that others think is over.
    this.#expire();
    this.#apply(event);
    this.#doWhatIsDue();
    this.#wake();
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  #apply(event: LeaderElectionEvent): void {
    switch (event.kind) {
      case 'started':
        if (this.#phase.name === 'idle') this.#read();
        return;
      case 'tick':
        this.#wakeAtMs = null;
        return;
      case 'lease-granted':
        return this.#granted(event.request, event.leaseId, event.ttlMs);
      case 'lease-failed':
        return this.#is('granting', event.request) ? this.#pause(event.reason) : undefined;
      case 'lease-revoked':
        return this.#is('resigning', event.request) ? this.#resigned() : undefined;
      case 'campaign-answered':
        return this.#campaignAnswered(event);
      case 'campaign-failed':
        return this.#campaignFailed(event.request, event.reason);
      case 'leader-read':
        return this.#leaderRead(event.request, event.revision, event.leader);
      case 'leader-read-failed':
        return this.#leaderReadFailed(event.request, event.reason);
      case 'keepalive-answered':
        return this.#renewed(event.request, event.ttlMs);
      case 'keepalive-failed':
        return this.#renewalFailed(event.request, event.reason);
      case 'leader-changed':
        return event.watch === this.#watch ? this.#observe(event.revision, event.leader) : undefined;
      case 'watch-ended':
        // The next reading starts another one, from the revision it has seen.
        if (event.watch === this.#watch) this.#watch = null;
        return;
      case 'stepped-down':
        return this.#steppedDown();
      case 'resign-requested':
        return this.#resign();
      default:
        assertNever(event, 'event of a leader election');
    }
  }

  #expire(): void {
    const phase = this.#phase;
    if (phase.name !== 'leading' || this.#nowMs < deadlineOf(phase)) return;
    const renewed = this.#nowMs < phase.lease.deadlineMs;
    this.#lose(phase, renewed ? 'its key could not be read in time' : 'its lease was not renewed in time');
  }

  #read(): void {
    const request = this.#request();
    this.#phase = { name: 'reading', request };
    this.#actions.push({ kind: 'read-leader', request });
  }

  #grant(): void {
    const request = this.#request();
    this.#phase = { name: 'granting', request, sentAtMs: this.#nowMs };
    this.#actions.push({ kind: 'grant-lease', request, ttlMs: this.#options.leaseTtlMs });
  }

  #granted(request: number, leaseId: string, ttlMs: number): void {
    const phase = this.#phase;
    if (phase.name !== 'granting' || phase.request !== request) return void this.#revoke(leaseId);
    const lease = { leaseId, ttlMs, deadlineMs: phase.sentAtMs + ttlMs - this.#options.marginMs };
    const campaign = this.#request();
    this.#phase = { name: 'campaigning', request: campaign, lease };
    this.#actions.push({ kind: 'campaign', request: campaign, leaseId });
  }

  #campaignAnswered(event: LeaderElectionEvent & { kind: 'campaign-answered' }): void {
    const phase = this.#phase;
    if (phase.name !== 'campaigning' || phase.request !== event.request) return;
    const { lease } = phase;
    const { won, revision, leader } = event;
    if (won && leader !== null) {
      this.#seen(revision, leader);
      return this.#lead(leader.createRevision, lease);
    }
    this.#revoke(lease.leaseId);
    this.#wait(revision, leader);
  }

  #campaignFailed(request: number, reason: string): void {
    const phase = this.#phase;
    if (phase.name !== 'campaigning' || phase.request !== request) return;
    this.#actions.push({ kind: 'report-failure', reason });
    const confirm = this.#request();
    this.#phase = { name: 'confirming', request: confirm, lease: phase.lease };
    this.#actions.push({ kind: 'read-leader', request: confirm });
  }

  #lead(epoch: number, lease: HeldLease): void {
    if (this.#nowMs >= lease.deadlineMs) {
      this.#revoke(lease.leaseId);
      return this.#pause('the answer of etcd came too late');
    }
    const confirmedUntilMs = lease.deadlineMs;
    this.#phase = { name: 'leading', epoch, lease, confirmedUntilMs, renewals: new Map(), nextRenewalMs: this.#nowMs };
    this.#watchFrom(this.#seenRevision + 1);
    this.#pollLater();
    this.#actions.push({ kind: 'become-leader', epoch });
  }

  /** Another one leads: its key is watched, and read now and then. */
  #wait(revision: number, leader: LeaderKey | null): void {
    this.#seen(revision, leader);
    if (leader === null) return this.#grant();
    this.#phase = { name: 'waiting' };
    this.#watchFrom(revision + 1);
    this.#pollLater();
  }

  #leaderRead(request: number, revision: number, leader: LeaderKey | null): void {
    const phase = this.#phase;
    if (phase.name === 'reading' && phase.request === request) return this.#wait(revision, leader);
    if (phase.name === 'confirming' && phase.request === request) {
      const { lease } = phase;
      this.#seen(revision, leader);
      if (leader?.leaseId === lease.leaseId) return this.#lead(leader.createRevision, lease);
      this.#revoke(lease.leaseId);
      return this.#wait(revision, leader);
    }
    if (this.#poll.request !== request) return;
    const steppedBack = revision < this.#poll.seenRevision;
    this.#confirm(this.#poll.sentAtMs, leader);
    this.#pollLater();
    if (steppedBack) return this.#steppedBack(revision, leader);
    this.#observe(revision, leader);
    if (this.#watch === null && this.#observes) this.#watchFrom(revision + 1);
  }

  #confirm(sentAtMs: number, leader: LeaderKey | null): void {
    const phase = this.#phase;
    if (phase.name !== 'leading' || leader?.createRevision !== phase.epoch) return;
    phase.confirmedUntilMs = sentAtMs + phase.lease.ttlMs - this.#options.marginMs;
  }

  /** Only another etcd, or one restored from a backup, has a lower revision than was seen before. Nothing known holds there. */
  #steppedBack(revision: number, leader: LeaderKey | null): void {
    const reason = `etcd is at revision ${revision}, but was at ${this.#seenRevision}: was it restored from a backup?`;
    const phase = this.#phase;
    if (phase.name === 'leading') {
      this.#seenRevision = revision;
      return this.#lose(phase, reason);
    }
    this.#actions.push({ kind: 'report-failure', reason });
    this.#wait(revision, leader);
  }

  #leaderReadFailed(request: number, reason: string): void {
    if (this.#is('reading', request)) return this.#pause(reason);
    const phase = this.#phase;
    if (phase.name === 'confirming' && phase.request === request) {
      // It may have made the key. Nobody renews it, so it goes away by itself if ending its lease fails too.
      this.#revoke(phase.lease.leaseId);
      return this.#pause(reason);
    }
    if (this.#poll.request !== request) return;
    this.#pollLater(this.#options.pollMs / 4);
    this.#actions.push({ kind: 'report-failure', reason });
  }

  /** News of the key, by watch or reading; in any order, so older ones than known are dropped. */
  #observe(revision: number, leader: LeaderKey | null): void {
    if (revision < this.#seenRevision || !this.#observes) return;
    this.#seen(revision, leader);
    const phase = this.#phase;
    if (phase.name === 'waiting' && leader === null) return this.#grant();
    if (phase.name !== 'leading' || leader?.createRevision === phase.epoch) return;
    this.#lose(phase, leader === null ? 'its key is gone' : `${leader.address} has taken the lead`);
  }

  get #observes(): boolean {
    return this.#phase.name === 'waiting' || this.#phase.name === 'leading';
  }

  #renewed(request: number, ttlMs: number): void {
    const phase = this.#phase;
    if (phase.name !== 'leading') return;
    const sentAtMs = phase.renewals.get(request);
    if (sentAtMs === undefined) return;
    phase.renewals.delete(request);
    if (ttlMs <= 0) return this.#lose(phase, 'its lease has ended');
    const deadlineMs = sentAtMs + Math.min(ttlMs, phase.lease.ttlMs) - this.#options.marginMs;
    phase.lease.deadlineMs = Math.max(phase.lease.deadlineMs, deadlineMs);
  }

  #renewalFailed(request: number, reason: string): void {
    if (this.#phase.name !== 'leading' || !this.#phase.renewals.delete(request)) return;
    this.#actions.push({ kind: 'report-failure', reason });
  }

  #lose(phase: Leading, reason: string): void {
    if (this.#known?.createRevision === phase.epoch) this.#known = null;
    this.#phase = { name: 'stepping-down', leaseId: phase.lease.leaseId };
    this.#actions.push({ kind: 'lose-leadership', epoch: phase.epoch, reason });
  }

  /** Ends the lease only now, so that nobody else leads while this process still steps down, if it is quick enough. */
  #steppedDown(): void {
    const phase = this.#phase;
    if (phase.name !== 'stepping-down') return;
    if (this.#resigning) return this.#revokeAndResign(phase.leaseId);
    this.#revoke(phase.leaseId);
    this.#pause(null);
  }

  #resign(): void {
    this.#resigning = true;
    const phase = this.#phase;
    switch (phase.name) {
      case 'leading':
        return this.#lose(phase, 'it resigned');
      case 'stepping-down':
      case 'resigning':
        return;
      case 'campaigning':
      case 'confirming':
        // The key may be there, or come still: without its lease it can do neither.
        return this.#revokeAndResign(phase.lease.leaseId);
      default:
        return this.#resigned();
    }
  }

  #revokeAndResign(leaseId: string): void {
    const request = this.#revoke(leaseId);
    this.#phase = { name: 'resigning', request };
  }

  #resigned(): void {
    this.#phase = { name: 'idle' };
    this.#watch = null;
    this.#actions.push({ kind: 'resigned' });
  }

  #pause(reason: string | null): void {
    if (reason !== null) this.#actions.push({ kind: 'report-failure', reason });
    this.#phase = { name: 'pausing', untilMs: this.#nowMs + this.#options.retryMs * (0.5 + this.#random) };
  }

  #doWhatIsDue(): void {
    const phase = this.#phase;
    if (phase.name === 'pausing' && this.#nowMs >= phase.untilMs) return this.#read();
    if (phase.name === 'leading') this.#renewWhenDue(phase);
    if (!this.#observes || this.#poll.request !== null || this.#nowMs < this.#poll.dueMs) return;
    const request = this.#request();
    const sentAtMs = this.#nowMs;
    this.#poll = { request, dueMs: Number.POSITIVE_INFINITY, sentAtMs, seenRevision: this.#seenRevision };
    this.#actions.push({ kind: 'read-leader', request });
  }

  #renewWhenDue(phase: Leading): void {
    if (this.#nowMs < phase.nextRenewalMs) return;
    phase.nextRenewalMs = this.#nowMs + this.#renewalMs;
    if (phase.renewals.size >= renewalsMax) return;
    const request = this.#request();
    phase.renewals.set(request, this.#nowMs);
    this.#actions.push({ kind: 'keep-alive', request, leaseId: phase.lease.leaseId });
  }

  /** Asks to be woken when something is due next, unless that was asked for already. */
  #wake(): void {
    const due = this.#dueMs();
    if (this.#wakeAtMs !== null && this.#wakeAtMs <= this.#nowMs) this.#wakeAtMs = null;
    if (due === Number.POSITIVE_INFINITY || due === this.#wakeAtMs) return;
    this.#wakeAtMs = due;
    this.#actions.push({ kind: 'wake-at', atMs: due });
  }

  #dueMs(): number {
    const phase = this.#phase;
    if (phase.name === 'pausing') return phase.untilMs;
    if (phase.name === 'waiting') return this.#poll.dueMs;
    if (phase.name === 'leading') return Math.min(phase.nextRenewalMs, deadlineOf(phase), this.#poll.dueMs);
    return Number.POSITIVE_INFINITY;
  }

  #pollLater(delayMs = this.#options.pollMs): void {
    this.#poll = { request: null, dueMs: this.#nowMs + delayMs, sentAtMs: 0, seenRevision: 0 };
  }

  #seen(revision: number, leader: LeaderKey | null): void {
    this.#seenRevision = revision;
    this.#known = leader;
  }

  #watchFrom(fromRevision: number): void {
    this.#watch = ++this.#watches;
    this.#actions.push({ kind: 'watch-leader', watch: this.#watch, fromRevision });
  }

  #revoke(leaseId: string): number {
    const request = this.#request();
    this.#actions.push({ kind: 'revoke-lease', request, leaseId });
    return request;
  }

  #request(): number {
    return ++this.#requests;
  }

  #is(name: 'reading' | 'granting' | 'resigning', request: number): boolean {
    return this.#phase.name === name && this.#phase.request === request;
  }
}
