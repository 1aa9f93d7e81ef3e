/**
 * Leadership without etcd: one job manager on a local directory, which nobody else may use meanwhile. It leads at once and
 * until it ends; its epoch is the next value of the store's counter, so what an earlier run left behind is fenced.
 */
import { clusterCountersName } from './job-runner.ts';
import type { Leader, Leadership, LeadershipCallbacks } from './leadership.ts';
import type { JobStore } from './store/job-store.ts';

export interface LocalLeadershipOptions {
  readonly address: string;
  readonly store: JobStore;
  /**
   * Takes the directory for this process and tells how to give it free.
   * @throws EngineError STATE_DIRECTORY_IN_USE
   */
  readonly lock: () => Promise<{ release(): void }>;
}

export class LocalLeadership implements Leadership {
  readonly #options: LocalLeadershipOptions;
  #callbacks: LeadershipCallbacks | null = null;
  #leader: Leader | null = null;
  #lock: { release(): void } | null = null;

  constructor(options: LocalLeadershipOptions) {
    this.#options = options;
  }

  async start(callbacks: LeadershipCallbacks): Promise<void> {
    this.#lock = await this.#options.lock();
    try {
      const epoch = await this.#options.store.advanceCounter(clusterCountersName, 'epoch');
      this.#callbacks = callbacks;
      this.#leader = { address: this.#options.address, epoch, isSelf: true };
    } catch (error) {
      this.#release();
      throw error;
    }
    callbacks.onLeader(this.#leader.epoch);
  }

  current(): Leader | null {
    return this.#leader;
  }

  async resign(): Promise<void> {
    if (this.#leader === null) return;
    this.#leader = null;
    try {
      await this.#callbacks?.onLost('it resigned');
    } finally {
      // Only now: until then this process may still write.
      this.#release();
    }
  }

  #release(): void {
    this.#lock?.release();
    this.#lock = null;
  }
}
