/**
 * Which job manager a task manager follows, and what becomes of its reports. Pure.
 *
 *   searching ─▶ registered with a leader of an epoch ─▶ (silence, another leader) ─▶ searching
 *
 * What must stay true:
 * - An epoch lower than one that was followed is never followed again.
 * - What runs goes on while a leader is looked for; only after `orphanTimeoutMs` without one it is ended.
 * - A report is repeated until a leader has taken or refused it. Reports wait while a leader is looked for: it hears first, by
 *   the registration, how things stand. All reports may come twice.
 * - A leader that says, in the epoch that is followed, that it does not know this task manager has given it up: what runs
 *   here is over for it. Everything is ended, and the task manager comes back under a new id.
 */
import type { WireError } from '../../core/errors.ts';

export interface LeaderFollowingOptions {
  /** Addresses of all job managers, one or more. */
  readonly addresses: readonly string[];
  readonly heartbeatIntervalMs: number;
  /** Pause after every job manager was asked in vain. */
  readonly searchPauseMs: number;
  /** Time without a leader after which what runs is ended. */
  readonly orphanTimeoutMs: number;
}

export type LeaderEvent =
  | { readonly kind: 'started' }
  /** The timer that was set last has fired. */
  | { readonly kind: 'timer' }
  | {
      readonly kind: 'register-answered';
      readonly address: string;
      readonly epoch: number | null;
      readonly error: WireError | null;
    }
  /** `epoch`: the one that was followed when it was sent. */
  | { readonly kind: 'heartbeat-answered'; readonly epoch: number; readonly error: WireError | null }
  | { readonly kind: 'report-added' }
  | { readonly kind: 'report-answered'; readonly epoch: number; readonly error: WireError | null };

export type LeaderAction =
  | { readonly kind: 'register'; readonly address: string }
  | { readonly kind: 'follow'; readonly address: string; readonly epoch: number }
  | { readonly kind: 'heartbeat'; readonly address: string; readonly epoch: number }
  /** The oldest report, to be answered by `report-answered`. */
  | { readonly kind: 'send-report'; readonly address: string; readonly epoch: number }
  /** The oldest report is done with: taken, or refused for the reason given. */
  | { readonly kind: 'forget-report'; readonly refusal: WireError | null }
  /** Everything that runs ends; the next registration is under a new id. */
  | { readonly kind: 'end-everything'; readonly why: string }
  | { readonly kind: 'set-timer'; readonly delayMs: number };

type Phase =
  | { readonly step: 'new' }
  /** `left`: addresses to be asked before the next pause. `asked`: the one that has not answered yet. */
  | { readonly step: 'searching'; left: string[]; asked: string | null; readonly sinceMs: number; orphaned: boolean }
  | { readonly step: 'registered'; readonly address: string };

/** Answers that say nothing about the report itself: it is sent again. */
const transient: ReadonlySet<string> = new Set(['TRANSPORT_FAILED', 'NOT_LEADER', 'CLUSTER_UNAVAILABLE']);

export class LeaderFollowing {
  readonly #options: LeaderFollowingOptions;
  #phase: Phase = { step: 'new' };
  #epoch = 0;
  #reports = 0;
  #sending = false;
  /** The report being sent was dropped meanwhile: its answer means nothing. */
  #sendingDropped = false;
  #nowMs = 0;
  #actions: LeaderAction[] = [];

  constructor(options: LeaderFollowingOptions) {
    this.#options = options;
  }

  /** The epoch that is followed, or was last; 0 before the first. */
  get epoch(): number {
    return this.#epoch;
  }

  get isRegistered(): boolean {
    return this.#phase.step === 'registered';
  }

  /** @param nowMs of a clock that never goes back */
  step(event: LeaderEvent, nowMs: number): LeaderAction[] {
    this.#nowMs = nowMs;
    this.#actions = [];
    switch (event.kind) {
      case 'started':
        this.#search(this.#options.addresses);
        break;
      case 'timer':
        this.#timer();
        break;
      case 'register-answered':
        this.#registerAnswered(event);
        break;
      case 'heartbeat-answered':
        if (event.epoch === this.#epoch && event.error !== null) this.#heartbeatFailed(event.error);
        break;
      case 'report-added':
        this.#reports++;
        this.#sendReport();
        break;
      case 'report-answered':
        this.#reportAnswered(event);
        break;
      default:
        event satisfies never;
    }
    return this.#actions;
  }

  #search(addresses: readonly string[]): void {
    this.#phase = { step: 'searching', left: [...addresses], asked: null, sinceMs: this.#nowMs, orphaned: false };
    this.#ask();
  }

  #ask(): void {
    if (this.#phase.step !== 'searching' || this.#phase.asked !== null) return;
    const next = this.#phase.left.shift();
    if (next === undefined) return this.#do({ kind: 'set-timer', delayMs: this.#options.searchPauseMs });
    this.#phase.asked = next;
    this.#do({ kind: 'register', address: next });
  }

  #timer(): void {
    const phase = this.#phase;
    if (phase.step === 'registered') {
      this.#do({ kind: 'heartbeat', address: phase.address, epoch: this.#epoch });
      return this.#do({ kind: 'set-timer', delayMs: this.#options.heartbeatIntervalMs });
    }
    if (phase.step !== 'searching') return;
    const searchedMs = this.#nowMs - phase.sinceMs;
    if (!phase.orphaned && searchedMs >= this.#options.orphanTimeoutMs) {
      phase.orphaned = true;
      const { addresses, orphanTimeoutMs } = this.#options;
      this.#endEverything(`none of the job managers ${addresses.join(', ')} has led for ${orphanTimeoutMs} ms`);
    }
    phase.left = [...this.#options.addresses];
    this.#ask();
  }

  #registerAnswered({ address, epoch, error }: LeaderEvent & { kind: 'register-answered' }): void {
    const phase = this.#phase;
    if (phase.step !== 'searching' || phase.asked !== address) return;
    phase.asked = null;
    if (error === null && epoch !== null && epoch >= this.#epoch) {
      this.#epoch = epoch;
      this.#phase = { step: 'registered', address };
      this.#do({ kind: 'follow', address, epoch });
      this.#do({ kind: 'set-timer', delayMs: this.#options.heartbeatIntervalMs });
      return this.#sendReport();
    }
    const hint = error?.code === 'NOT_LEADER' ? error.ids.leaderAddress : undefined;
    if (typeof hint === 'string' && hint !== '' && hint !== address)
      phase.left = [hint, ...phase.left.filter((other) => other !== hint)];
    this.#ask();
  }

  #heartbeatFailed(error: WireError): void {
    const phase = this.#phase;
    if (phase.step !== 'registered') return;
    if (error.code === 'STALE_EPOCH' && Number(error.ids.leaderEpoch ?? 0) <= this.#epoch)
      this.#endEverything(`the job manager ${phase.address} has given this task manager up: ${error.message}`);
    // The one that was followed is asked first: it may only have been slow.
    this.#search([phase.address, ...this.#options.addresses.filter((other) => other !== phase.address)]);
  }

  #sendReport(): void {
    if (this.#phase.step !== 'registered' || this.#sending || this.#reports === 0) return;
    this.#sending = true;
    this.#do({ kind: 'send-report', address: this.#phase.address, epoch: this.#epoch });
  }

  #reportAnswered({ epoch, error }: LeaderEvent & { kind: 'report-answered' }): void {
    this.#sending = false;
    if (this.#sendingDropped) {
      this.#sendingDropped = false;
      return this.#sendReport();
    }
    const again = error !== null && (transient.has(error.code) || epoch < this.#epoch);
    if (!again) {
      this.#reports--;
      this.#do({ kind: 'forget-report', refusal: error });
    } else if (epoch === this.#epoch) this.#heartbeatFailed(error);
    this.#sendReport();
  }

  #endEverything(why: string): void {
    this.#reports = 0;
    this.#sendingDropped = this.#sending;
    this.#do({ kind: 'end-everything', why });
  }

  #do(action: LeaderAction): void {
    this.#actions.push(action);
  }
}
