/**
 * The model of etcd in virtual time, behind a network that delays, loses and cuts, one way too. An answer may be lost after
 * the change was made; one that comes after its deadline is handed over all the same, so a core must not take it for the
 * answer it waits for.
 */
import type { EtcdKey } from '../../jobmanager/etcd/etcd-api.ts';
import { EtcdModel, EtcdRefusal } from './etcd-model.ts';
import type { Random } from './random.ts';

/** What the simulated network and etcd need of the world around them. */
export interface EtcdWorld {
  readonly nowMs: number;
  /** Runs something later, outside of all processes. */
  later(delayMs: number, run: () => void): void;
}

/** A process as the network sees it. */
export interface EtcdCaller {
  /** What it sends is lost, what is sent to it is lost. */
  readonly cut: { outward: boolean; inward: boolean };
  /** Runs something on it: never when it is dead, later when it is paused. */
  run(event: () => void): void;
}

export interface NetworkFaults {
  lossChance: number;
  slowChance: number;
}

const slowMsMax = 6_000;
const normalMsMax = 30;
/** How long a caller waits for an answer. */
const callTimeoutMs = 1_000;

interface Watch {
  readonly caller: EtcdCaller;
  readonly key: string;
  next: number;
  /** A message was lost: nothing comes any more, and nobody says so. */
  dead: boolean;
  lastArrivalMs: number;
  readonly onChange: (revision: number, key: EtcdKey | null) => void;
}

export class SimulatedEtcd {
  readonly model = new EtcdModel();
  readonly faults: NetworkFaults = { lossChance: 0, slowChance: 0 };
  /** Requests are lost; leases go on ending. */
  unreachable = false;
  /** No member leads: nothing happens at all, and leases have their whole time again afterwards. */
  #down = false;
  readonly #world: EtcdWorld;
  readonly #random: Random;
  readonly #watches = new Set<Watch>();

  constructor(world: EtcdWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  get down(): boolean {
    return this.#down;
  }

  stop(): void {
    this.#down = true;
  }

  start(): void {
    if (!this.#down) return;
    this.#down = false;
    this.model.newServerLeader(this.#world.nowMs);
    this.#expireLater();
  }

  /** Applies something now, as an administrator would. */
  apply<T>(operate: (model: EtcdModel) => T): T {
    const result = operate(this.model);
    this.#changed();
    return result;
  }

  /** Connections of a caller die without a word: its watches hear nothing any more. */
  breakWatches(caller: EtcdCaller): void {
    for (const watch of this.#watches) if (watch.caller === caller) watch.dead = true;
  }

  /** A call: `answered`, `failed`, one after the other, or `failed` alone. */
  call<T>(
    caller: EtcdCaller,
    operate: (model: EtcdModel, nowMs: number) => T,
    outcome: { readonly answered: (result: T) => void; readonly failed: (reason: string) => void },
  ): void {
    const call = { answered: false };
    this.#world.later(callTimeoutMs, () => {
      if (!call.answered) caller.run(() => outcome.failed('no answer'));
    });
    if (this.#lost(caller.cut.outward)) return;
    this.#world.later(this.#delayMs(), () => {
      if (this.#down || this.unreachable) return;
      let reply: () => void;
      try {
        const result = operate(this.model, this.#world.nowMs);
        reply = () => outcome.answered(result);
      } catch (error) {
        if (!(error instanceof EtcdRefusal)) throw error;
        const { message } = error;
        reply = () => outcome.failed(message);
      }
      this.#changed();
      if (this.#lost(caller.cut.inward)) return;
      this.#world.later(this.#delayMs(), () => {
        call.answered = true;
        caller.run(reply);
      });
    });
  }

  /** Told with lag; stops without a word when a message is lost. `onEnd` when the changes are forgotten. */
  watch(caller: EtcdCaller, watched: Pick<Watch, 'key' | 'next' | 'onChange'>, onEnd: () => void): () => void {
    const watch: Watch = { ...watched, caller, dead: false, lastArrivalMs: 0 };
    if (this.#lost(caller.cut.outward)) return () => undefined;
    this.#world.later(this.#delayMs(), () => {
      if (watch.dead) return;
      if (this.model.changesFrom(watch.key, watch.next) === null) {
        caller.run(onEnd);
        return;
      }
      this.#watches.add(watch);
      this.#tell(watch);
    });
    return () => {
      watch.dead = true;
      this.#watches.delete(watch);
    };
  }

  #changed(): void {
    this.#expireLater();
    for (const watch of this.#watches) this.#tell(watch);
  }

  #expireLater(): void {
    const next = this.model.expire(this.#world.nowMs);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#world.later(next - this.#world.nowMs, () => {
      if (this.#down) return;
      const before = this.model.revision;
      this.model.expire(this.#world.nowMs);
      if (this.model.revision !== before) this.#changed();
    });
  }

  #tell(watch: Watch): void {
    const changes = this.model.changesFrom(watch.key, watch.next) ?? [];
    watch.next = this.model.revision + 1;
    for (const { revision, value } of changes) {
      if (this.#lost(watch.caller.cut.inward)) watch.dead = true;
      if (watch.dead) return;
      // One stream: in order.
      watch.lastArrivalMs = Math.max(watch.lastArrivalMs, this.#world.nowMs + this.#delayMs());
      this.#world.later(watch.lastArrivalMs - this.#world.nowMs, () => {
        watch.caller.run(() => {
          if (!watch.dead) watch.onChange(revision, value);
        });
      });
    }
  }

  #lost(cut: boolean): boolean {
    return cut || this.#random.chance(this.faults.lossChance);
  }

  #delayMs(): number {
    const slow = this.#random.chance(this.faults.slowChance);
    return this.#random.between(1, slow ? slowMsMax : normalMsMax);
  }
}
