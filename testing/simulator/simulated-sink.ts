/**
 * The outside world of the sink: transactions that are prepared by writers, committed by committers, and seen by readers
 * once committed. Checks at every commit what an exactly-once sink promises.
 */
import { EngineError } from '../../core/errors.ts';
import type { Committable } from '../../core/connector/index.ts';
import type { Random } from './random.ts';
import type { Process, World } from './world.ts';

/** What a committable stands for. */
export interface Transaction {
  /** Unique over all attempts. */
  readonly id: string;
  readonly results: readonly string[];
}

export class SimulatedSink {
  /** Everything a reader of committed results sees. */
  readonly visible = new Set<string>();
  #committed = new Set<string>();
  readonly #world: World;
  readonly #random: Random;
  readonly #expected: ReadonlySet<string>;
  /** Transactions in the snapshots of checkpoints, and those of complete ones. */
  readonly #inSnapshot = new Map<number, Transaction[]>();
  readonly #inComplete = new Set<string>();
  /** What every complete checkpoint and those before it have promised, by checkpoint. */
  readonly #promised = new Map<number, readonly Transaction[]>();
  #newestPromise: readonly Transaction[] = [];

  constructor(world: World, expected: ReadonlySet<string>) {
    this.#world = world;
    this.#random = world.random('sink');
    this.#expected = expected;
  }

  /** A committer took a snapshot with these committables. */
  frozen(checkpointId: number, committables: readonly Committable[]): void {
    const transactions = committables.map((committable) => committable.data as Transaction);
    this.#inSnapshot.set(checkpointId, [...(this.#inSnapshot.get(checkpointId) ?? []), ...transactions]);
  }

  checkpointCompleted(checkpointId: number): void {
    const fresh = (this.#inSnapshot.get(checkpointId) ?? []).filter(({ id }) => !this.#inComplete.has(id));
    for (const { id } of fresh) this.#inComplete.add(id);
    this.#newestPromise = [...this.#newestPromise, ...fresh];
    this.#promised.set(checkpointId, this.#newestPromise);
  }

  /**
   * A job starts from a savepoint, with an output of its own that has what the savepoint's checkpoint and those before it
   * promised: together they are the whole result.
   */
  startFrom(checkpointId: number): void {
    this.#newestPromise = this.#promised.get(checkpointId) ?? [];
    this.#committed = new Set(this.#newestPromise.map(({ id }) => id));
    this.visible.clear();
    for (const { results } of this.#newestPromise) for (const result of results) this.visible.add(result);
  }

  /** Commits; the answer may be lost although the commit happened. */
  commit(process: Process, committables: readonly Committable[], ended: (error: EngineError | null) => void): void {
    const { rates } = this.#world.configuration;
    const faults = this.#world.faultsOn;
    const fails = faults && this.#random.chance(rates.commitFails);
    const replyLost = faults && this.#random.chance(rates.commitReplyLost);
    if (replyLost) this.#world.saw('commit_result_unknown');
    const delayMs = this.#random.between(0, 30);
    const error = new EngineError('STORAGE_FAILED', 'commit failed', { domain: 'external', retry: 'backoff' });
    // A commit that is on its way happens whatever becomes of its process.
    if (!fails) this.#world.schedule(delayMs, null, 'commit', () => this.#apply(committables));
    this.#world.schedule(delayMs + 1, process, 'commit answered', () => ended(fails || replyLost ? error : null));
  }

  #apply(committables: readonly Committable[]): void {
    for (const { data } of committables) {
      const transaction = data as Transaction;
      this.#world.check(
        this.#inComplete.has(transaction.id),
        () => `${transaction.id} is committed, but no complete checkpoint contains it`,
      );
      if (this.#committed.has(transaction.id)) continue;
      this.#committed.add(transaction.id);
      for (const result of transaction.results) {
        this.#world.check(this.#expected.has(result), () => `${transaction.id} delivers ${result}, which is wrong`);
        this.#world.check(!this.visible.has(result), () => `${transaction.id} delivers ${result} again`);
        this.visible.add(result);
      }
    }
  }
}
