/**
 * What a committer may commit, and when. Pure and synchronous; the operator around it keeps the committables as state rows
 * and calls the sink.
 *
 *   received ── freeze(n) ──▶ part of snapshot n ── completed(m ≥ n) ──▶ committing ── succeeded ──▶ gone
 *                                                                          │  ▲
 *                                                                   failed ▼  │ retry: the same batch
 *
 * - A committable is committed only after a checkpoint that contains it has completed; one whose own checkpoint was aborted
 *   waits for the next that completes (its writer will not write it again).
 * - One batch is in progress at a time. A failed or ambiguous commit is tried again with exactly the same batch until the
 *   answer is definite (KAFKA-17754); what completes meanwhile forms the next batch.
 * - Restored committables are committed again with the identity they had: checkpoint and subtask as received, never those of
 *   the restoring subtask (FLINK-29509). `commit` of a sink is idempotent, so a commit that had happened is no harm.
 */
import { assert } from '../../core/errors.ts';
import type { Committable } from '../../core/connector/index.ts';

export interface CommitBatch {
  /** The completed checkpoint that allows this batch. */
  readonly upToCheckpointId: number;
  /** In order of checkpoint, then of arrival. */
  readonly committables: readonly Committable[];
}

interface Pending {
  readonly committable: Committable;
  /** First checkpoint whose snapshot contains it; Infinity before that. */
  frozenAt: number;
}

export class TwoPhaseCommitter {
  #pending: Pending[] = [];
  #inProgress: CommitBatch | null = null;
  #lastFrozen = 0;
  #lastCompleted = 0;

  /** Committables that are not known to be committed; what a snapshot contains. In order of checkpoint. */
  get pending(): readonly Committable[] {
    return this.#pending.map((entry) => entry.committable);
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** True when checkpoint `id` completing will leave nothing for a later one. */
  isSettledBy(id: number): boolean {
    return this.#pending.every((entry) => entry.frozenAt <= id);
  }

  /** A writer handed over a committable, before the barrier of its checkpoint. */
  received(committable: Committable): void {
    assert(
      committable.checkpointId > this.#lastFrozen,
      `a committable of checkpoint ${committable.checkpointId} precedes its barrier, but ${this.#lastFrozen} was frozen`,
    );
    this.#pending.push({ committable, frozenAt: Number.POSITIVE_INFINITY });
  }

  /** The snapshot of checkpoint `id` is taken: it contains all that is pending. */
  freeze(id: number): void {
    assert(id > this.#lastFrozen, `snapshot ${id} follows snapshot ${this.#lastFrozen}`);
    this.#lastFrozen = id;
    for (const entry of this.#pending) if (entry.frozenAt > id) entry.frozenAt = id;
  }

  /** Checkpoint `id` is complete. Returns the batch to commit now, or null when there is none or one is in progress. */
  completed(id: number): CommitBatch | null {
    // A late notification says nothing new; one that subsumes others stands for all of them.
    if (id > this.#lastCompleted) this.#lastCompleted = id;
    return this.#next();
  }

  /** The committables of the restored checkpoint `id`, which is complete. Returns the batch to commit again, or null. */
  restored(id: number, committables: readonly Committable[]): CommitBatch | null {
    assert(this.#pending.length === 0 && this.#lastFrozen === 0, 'committables are restored before anything else');
    this.#lastFrozen = id;
    this.#pending = committables.map((committable) => ({ committable, frozenAt: id }));
    this.#pending.sort((a, b) => a.committable.checkpointId - b.committable.checkpointId);
    return this.completed(id);
  }

  /** The batch in progress is committed. Returns what is gone (their rows can be deleted) and the batch to commit next. */
  commitSucceeded(): { readonly committed: readonly Committable[]; readonly next: CommitBatch | null } {
    const batch = this.#inProgress;
    assert(batch !== null, 'a commit is in progress');
    const gone = new Set(batch.committables);
    this.#pending = this.#pending.filter((entry) => !gone.has(entry.committable));
    this.#inProgress = null;
    return { committed: batch.committables, next: this.#next() };
  }

  /** The commit failed or its result is unknown. Returns the batch to try again: the same one. */
  commitFailed(): CommitBatch {
    assert(this.#inProgress !== null, 'a commit is in progress');
    return this.#inProgress;
  }

  #next(): CommitBatch | null {
    if (this.#inProgress !== null) return null;
    const upToCheckpointId = this.#lastCompleted;
    const due = this.#pending.filter((entry) => entry.frozenAt <= upToCheckpointId);
    if (due.length === 0) return null;
    this.#inProgress = { upToCheckpointId, committables: due.map((entry) => entry.committable) };
    return this.#inProgress;
  }
}
