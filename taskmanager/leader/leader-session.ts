/**
 * The shell of following a leader: calls, timers and the queue of reports around {@link LeaderFollowing}, which decides.
 */
import { toWireError } from '../../core/errors.ts';
import type { AttemptMetrics, AttemptRef, RegisterTaskManagerRequest } from '../../proto/messages.ts';
import type { JobManagerGateway } from '../../proto/services.ts';
import { type LeaderAction, type LeaderEvent, LeaderFollowing } from './leader-following.ts';

/** How job managers are reached. */
export interface JobManagers {
  /** One or more. */
  readonly addresses: readonly string[];
  /** The same gateway for the same address. */
  gateway(address: string): JobManagerGateway;
}

/** The one job manager there is. */
export function onlyJobManager(gateway: JobManagerGateway): JobManagers {
  return { addresses: ['the job manager'], gateway: () => gateway };
}

export interface LeaderSessionOptions {
  readonly jobManagers: JobManagers;
  readonly heartbeatIntervalMs: number;
  readonly orphanTimeoutMs: number;
  /** What a registration says now. */
  registration(): RegisterTaskManagerRequest;
  /** What a heartbeat says now. */
  metrics(): readonly AttemptMetrics[];
  /** Another epoch is followed from now on. */
  onFollow(epoch: number): void;
  /** Ends what runs, and takes a new id. */
  onGivenUp(why: string): void;
  onLog(level: 'info' | 'warn', message: string): void;
}

/** A report; the epoch of its attempt is filled in when it is sent. */
type Report = (gateway: JobManagerGateway, epoch: number) => Promise<unknown>;

const searchPauseMs = 200;

export class LeaderSession {
  readonly #options: LeaderSessionOptions;
  readonly #following: LeaderFollowing;
  readonly #reports: Report[] = [];
  #timer: NodeJS.Timeout | null = null;
  #address: string | null = null;
  #stopped = false;
  #registered: (() => void) | null = null;

  constructor(options: LeaderSessionOptions) {
    this.#options = options;
    const { jobManagers, heartbeatIntervalMs, orphanTimeoutMs } = options;
    const { addresses } = jobManagers;
    this.#following = new LeaderFollowing({ addresses, heartbeatIntervalMs, searchPauseMs, orphanTimeoutMs });
  }

  /** The epoch that is followed, or was last; 0 before the first. */
  get epoch(): number {
    return this.#following.epoch;
  }

  /** Looks for a leader, and follows whoever leads from now on. Resolves when the first one has taken the registration. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#registered = resolve;
      this.#step({ kind: 'started' });
    });
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Tells the leader, in order, again and again until one has taken or refused it. */
  report<T extends { readonly attempt: AttemptRef }>(
    message: T,
    send: (gateway: JobManagerGateway, message: T) => Promise<unknown>,
  ): void {
    if (this.#stopped) return;
    this.#reports.push((gateway, leaderEpoch) =>
      send(gateway, { ...message, attempt: { ...message.attempt, leaderEpoch } }),
    );
    this.#step({ kind: 'report-added' });
  }

  /** A heartbeat besides the regular ones; nothing while no leader is followed. */
  heartbeat(): void {
    if (this.#address !== null && this.#following.isRegistered && !this.#stopped)
      this.#heartbeat(this.#address, this.#following.epoch);
  }

  /** The leader that is followed; null while one is looked for. For what may get lost. */
  get gateway(): JobManagerGateway | null {
    return this.#following.isRegistered && this.#address !== null
      ? this.#options.jobManagers.gateway(this.#address)
      : null;
  }

  #step(event: LeaderEvent): void {
    if (this.#stopped) return;
    for (const action of this.#following.step(event, performance.now())) this.#act(action);
  }

  #act(action: LeaderAction): void {
    switch (action.kind) {
      case 'register':
        return this.#register(action.address);
      case 'follow':
        return this.#follow(action.address, action.epoch);
      case 'heartbeat':
        return this.#heartbeat(action.address, action.epoch);
      case 'send-report':
        return this.#send(action.address, action.epoch);
      case 'forget-report':
        this.#reports.shift();
        if (action.refusal !== null)
          this.#options.onLog('warn', `the job manager did not take a report: ${action.refusal.message}`);
        return;
      case 'end-everything':
        this.#reports.length = 0;
        return this.#options.onGivenUp(action.why);
      case 'set-timer':
        if (this.#timer !== null) clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#step({ kind: 'timer' }), action.delayMs);
        return;
      default:
        action satisfies never;
    }
  }

  #register(address: string): void {
    const gateway = this.#options.jobManagers.gateway(address);
    gateway.registerTaskManager(this.#options.registration()).then(
      ({ leaderEpoch: epoch }) => this.#step({ kind: 'register-answered', address, epoch, error: null }),
      (error: unknown) => this.#step({ kind: 'register-answered', address, epoch: null, error: toWireError(error) }),
    );
  }

  #follow(address: string, epoch: number): void {
    this.#address = address;
    this.#options.onFollow(epoch);
    this.#registered?.();
    this.#registered = null;
  }

  #heartbeat(address: string, epoch: number): void {
    const { taskManagerId } = this.#options.registration();
    const request = { taskManagerId, leaderEpoch: epoch, attempts: this.#options.metrics() };
    this.#options.jobManagers
      .gateway(address)
      .heartbeat(request)
      .then(
        () => this.#step({ kind: 'heartbeat-answered', epoch, error: null }),
        (error: unknown) => this.#step({ kind: 'heartbeat-answered', epoch, error: toWireError(error) }),
      );
  }

  #send(address: string, epoch: number): void {
    const report = this.#reports[0];
    if (report === undefined) return;
    report(this.#options.jobManagers.gateway(address), epoch).then(
      () => this.#step({ kind: 'report-answered', epoch, error: null }),
      (error: unknown) => this.#step({ kind: 'report-answered', epoch, error: toWireError(error) }),
    );
  }
}
