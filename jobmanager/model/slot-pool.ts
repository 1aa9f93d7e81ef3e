/**
 * Task managers and their slots, shared by the jobs of a job manager. Pure.
 *
 * A job asks for all slots of an attempt at once and gets them together or waits: half an attempt can do nothing, and two
 * jobs that each hold half of what they need would wait for ever. Jobs that wait are served in the order in which they
 * asked; one that does not fit lets later ones pass, so a job too large for the cluster stops no other.
 *
 * Slots in which a task manager runs something when it registers belong to that attempt, until the attempt is adopted by its
 * job or the slots are reported as ended.
 *
 * Slots stay with a job while it restarts. They are free again when the job says so, when it asks anew (but for those in which
 * other regions of it run on), or when their task manager is lost.
 *
 * Liveness is a matter between a task manager and this pool, whatever runs there: one heartbeat each, and one deadline.
 */
import { EngineError } from '../../core/errors.ts';
import type { SlotOffer } from './slot-assignment.ts';

/** What the whole cluster has, for messages. */
export interface SlotSupply {
  readonly taskManagers: number;
  readonly slots: number;
  readonly freeSlots: number;
}

/** What follows from a step. */
export interface SlotPoolOutcome {
  /** A job got the slots it asked for. */
  readonly granted: readonly { readonly jobId: string; readonly offers: readonly SlotOffer[] }[];
  /** Jobs that asked, or whose wait goes on under other circumstances. */
  readonly waiting: readonly string[];
  /** Task managers that are gone, with the jobs that had slots there. */
  readonly lost: readonly {
    readonly taskManagerId: string;
    readonly reason: string;
    readonly jobIds: readonly string[];
  }[];
}

interface HeldSlots {
  readonly jobId: string;
  slots: number;
}

/** Slots of an attempt that a task manager runs when it registers. */
export interface FoundSlots {
  readonly jobId: string;
  readonly attempt: number;
  readonly slots: number;
}

interface PooledTaskManager {
  readonly slotCount: number;
  lastHeardMs: number;
  /** Slots in use, by who holds them: a job, or an attempt that was found running. */
  readonly used: Map<string, HeldSlots>;
}

/** What one task manager offers and who uses it, for those who look. */
export interface PooledTaskManagerView {
  readonly taskManagerId: string;
  readonly slotCount: number;
  readonly freeSlots: number;
  readonly lastHeardMs: number;
}

const nothing: SlotPoolOutcome = { granted: [], waiting: [], lost: [] };

export class SlotPool {
  readonly #heartbeatTimeoutMs: number | null;
  readonly #taskManagers = new Map<string, PooledTaskManager>();
  /** Slots asked for, by job, in the order of asking. */
  readonly #requests = new Map<string, number>();

  /** @param heartbeatTimeoutMs silence after which a task manager is lost; null: never, it lives in this process */
  constructor(heartbeatTimeoutMs: number | null) {
    this.#heartbeatTimeoutMs = heartbeatTimeoutMs;
  }

  get taskManagers(): readonly PooledTaskManagerView[] {
    return [...this.#taskManagers].map(([taskManagerId, { slotCount, lastHeardMs, used }]) => {
      return { taskManagerId, slotCount, freeSlots: slotCount - sum(used), lastHeardMs };
    });
  }

  get supply(): SlotSupply {
    const views = this.taskManagers;
    return {
      taskManagers: views.length,
      slots: views.reduce((total, view) => total + view.slotCount, 0),
      freeSlots: views.reduce((total, view) => total + view.freeSlots, 0),
    };
  }

  /**
   * A task manager offers its slots. The same registration again changes nothing but when it was heard.
   * @param found slots in which it runs something already
   */
  registered(
    taskManagerId: string,
    slotCount: number,
    nowMs: number,
    found: readonly FoundSlots[] = [],
  ): SlotPoolOutcome {
    const known = this.#taskManagers.get(taskManagerId);
    if (known !== undefined) {
      known.lastHeardMs = nowMs;
      return nothing;
    }
    const used = new Map(found.map(({ jobId, attempt, slots }) => [holderOf(jobId, attempt), { jobId, slots }]));
    this.#taskManagers.set(taskManagerId, { slotCount, lastHeardMs: nowMs, used });
    return this.#serve();
  }

  /** @throws EngineError STALE_EPOCH when it is not registered (any more): whatever it runs is over */
  heard(taskManagerId: string, nowMs: number): void {
    const known = this.#taskManagers.get(taskManagerId);
    if (known === undefined) {
      const message = `task manager ${taskManagerId} is not registered (any more); it must end what it runs and register again under a new id`;
      throw new EngineError('STALE_EPOCH', message, { domain: 'external', retry: 'backoff', ids: { taskManagerId } });
    }
    known.lastHeardMs = nowMs;
  }

  lost(taskManagerId: string, reason: string): SlotPoolOutcome {
    const known = this.#taskManagers.get(taskManagerId);
    if (known === undefined) return nothing;
    this.#taskManagers.delete(taskManagerId);
    const lost = [{ taskManagerId, reason, jobIds: [...new Set([...known.used.values()].map(({ jobId }) => jobId))] }];
    return { granted: [], waiting: [...this.#requests.keys()], lost };
  }

  /** Task managers that were silent for too long are lost. */
  check(nowMs: number): SlotPoolOutcome {
    const timeoutMs = this.#heartbeatTimeoutMs;
    if (timeoutMs === null) return nothing;
    const silent = [...this.#taskManagers].filter(([, known]) => nowMs - known.lastHeardMs > timeoutMs);
    const reason = `it was not heard of for ${timeoutMs} ms`;
    if (silent.length === 0) return nothing;
    const lost = silent.flatMap(([taskManagerId]) => this.lost(taskManagerId, reason).lost);
    return { granted: [], waiting: [...this.#requests.keys()], lost };
  }

  /**
   * A job asks for the slots of its next attempts, and gives back what it has. It is served before those who wait.
   * @param kept of those it has, the slots in which something runs on; what else it gets is in addition
   */
  requested(jobId: string, count: number, kept: readonly SlotOffer[] = []): SlotPoolOutcome {
    this.#free(jobId);
    for (const { taskManagerId, slotCount } of kept)
      if (slotCount > 0) this.#taskManagers.get(taskManagerId)?.used.set(jobId, { jobId, slots: slotCount });
    this.#requests.delete(jobId);
    const offers = this.#take(jobId, count);
    if (offers !== null) {
      const others = this.#serve();
      return { ...others, granted: [{ jobId, offers }, ...others.granted] };
    }
    this.#requests.set(jobId, count);
    const others = this.#serve();
    return { ...others, waiting: [jobId, ...others.waiting.filter((other) => other !== jobId)] };
  }

  /** A job goes on with an attempt that was found running: its slots are the job's. */
  adopted(jobId: string, attempt: number): void {
    const holder = holderOf(jobId, attempt);
    for (const { used } of this.#taskManagers.values()) {
      const held = used.get(holder);
      if (held === undefined) continue;
      used.delete(holder);
      used.set(jobId, { jobId, slots: (used.get(jobId)?.slots ?? 0) + held.slots });
    }
  }

  /** A slot of an attempt that was found running, and that nobody has adopted, is free. */
  slotEnded(taskManagerId: string, jobId: string, attempt: number): SlotPoolOutcome {
    const used = this.#taskManagers.get(taskManagerId)?.used;
    const held = used?.get(holderOf(jobId, attempt));
    if (used === undefined || held === undefined) return nothing;
    if (--held.slots === 0) used.delete(holderOf(jobId, attempt));
    return this.#serve();
  }

  /** A job gives back its slots and no longer waits. */
  released(jobId: string): SlotPoolOutcome {
    this.#requests.delete(jobId);
    this.#free(jobId);
    return this.#serve();
  }

  #free(jobId: string): void {
    for (const taskManager of this.#taskManagers.values()) taskManager.used.delete(jobId);
  }

  #serve(): SlotPoolOutcome {
    const granted: { jobId: string; offers: readonly SlotOffer[] }[] = [];
    for (const [jobId, count] of this.#requests) {
      const offers = this.#take(jobId, count);
      if (offers === null) continue;
      this.#requests.delete(jobId);
      granted.push({ jobId, offers });
    }
    return { granted, waiting: [...this.#requests.keys()], lost: [] };
  }

  /** Reserves slots, spread over task managers, most free slots first; null when there are not enough. */
  #take(jobId: string, count: number): SlotOffer[] | null {
    const free = [...this.#taskManagers]
      .map(([taskManagerId, { slotCount, used }]) => ({ taskManagerId, left: slotCount - sum(used), taken: 0 }))
      .sort((a, b) => (a.taskManagerId < b.taskManagerId ? -1 : 1));
    for (let taken = 0; taken < count; taken++) {
      const best = free.reduce<(typeof free)[number] | null>(
        (most, offer) => (most === null || offer.left > most.left ? offer : most),
        null,
      );
      if (best === null || best.left === 0) return null;
      best.left--;
      best.taken++;
    }
    const offers = free.filter((offer) => offer.taken > 0);
    for (const { taskManagerId, taken } of offers) {
      const used = this.#taskManagers.get(taskManagerId)?.used;
      used?.set(jobId, { jobId, slots: (used.get(jobId)?.slots ?? 0) + taken });
    }
    return offers.map(({ taskManagerId, taken }) => ({ taskManagerId, slotCount: taken }));
  }
}

function holderOf(jobId: string, attempt: number): string {
  return `${jobId} attempt ${attempt}`;
}

function sum(used: ReadonlyMap<string, HeldSlots>): number {
  let total = 0;
  for (const { slots } of used.values()) total += slots;
  return total;
}
