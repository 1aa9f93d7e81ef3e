/**
 * Decides when the file of a checkpoint is opened, ended, reported or discarded. One file per task manager and checkpoint: it
 * is ended when every slot has said that it is done, and reported when it is durable. Pure: `(state, event) → actions`; the
 * store thread acts.
 *
 *   event ↓ / state →   none             collecting          ending              settled
 *   begun               → collecting     slots known         -                   failed (protocol)
 *   block               → collecting     append              failed (protocol)   credit returned, dropped
 *   spilled             as block; it takes no credit
 *   slotDone            → collecting     last one: → ending  ignored             ignored
 *   slotLeft            -                as slotDone         -                   -
 *   slotGone            -                → failed            -                   -
 *   fileWritten         delete           -                   → written           delete
 *   fileFailed          -                → failed            → failed            ignored
 *   aborted             → settled        → settled           → settled           ignored
 *
 * Blocks of a slot may overtake `begun`, which comes from another thread. Ids grow within an attempt and `begun` comes in their
 * order, so whatever is not above the highest settled id and not collecting is over and dropped: a failure is sticky.
 *
 * A file that was reported is never deleted here, whatever comes later: the job manager may have made it part of a completed
 * checkpoint. A file that becomes durable after its checkpoint was given up is deleted: nobody else knows its name.
 */
import { EngineError, toWireError, type WireError } from '../../core/errors.ts';
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { StateFile } from './state-file.ts';
import type { SpillRange, StoreAttempt, StoredSubtaskSnapshot } from './store-messages.ts';

export interface LedgerCheckpoint extends StoreAttempt {
  readonly checkpointId: number;
}
export interface LedgerSlot extends StoreAttempt {
  readonly slotIndex: number;
}

export type LedgerEvent =
  | { readonly kind: 'slotAttached'; readonly slot: LedgerSlot }
  /** All subtasks of the slot have finished: it has no share of any later checkpoint, nor of one it has not handed over. */
  | { readonly kind: 'slotLeft'; readonly slot: LedgerSlot }
  | { readonly kind: 'slotGone'; readonly slot: LedgerSlot }
  | { readonly kind: 'begun'; readonly checkpoint: LedgerCheckpoint; readonly slotIndexes: readonly number[] }
  | {
      readonly kind: 'block';
      readonly checkpoint: LedgerCheckpoint;
      readonly slotIndex: number;
      readonly block: RowBlock;
    }
  /** As a block: rows the slot has spilled before. */
  | {
      readonly kind: 'spilled';
      readonly checkpoint: LedgerCheckpoint;
      readonly slotIndex: number;
      readonly range: SpillRange;
    }
  | {
      readonly kind: 'slotDone';
      readonly checkpoint: LedgerCheckpoint;
      readonly slotIndex: number;
      readonly subtasks: readonly StoredSubtaskSnapshot[];
    }
  | { readonly kind: 'fileWritten'; readonly checkpoint: LedgerCheckpoint; readonly file: StateFile }
  | { readonly kind: 'fileFailed'; readonly checkpoint: LedgerCheckpoint; readonly error: WireError }
  | { readonly kind: 'aborted'; readonly checkpoint: LedgerCheckpoint };

export type LedgerAction =
  /** Start the file of this checkpoint. */
  | { readonly kind: 'openFile'; readonly checkpoint: LedgerCheckpoint }
  /** Append to its open file; credit goes back to the slot when the block is taken. */
  | {
      readonly kind: 'append';
      readonly checkpoint: LedgerCheckpoint;
      readonly slotIndex: number;
      readonly block: RowBlock;
    }
  /** As append, with rows the slot has spilled before. */
  | {
      readonly kind: 'appendSpilled';
      readonly checkpoint: LedgerCheckpoint;
      readonly slotIndex: number;
      readonly range: SpillRange;
    }
  | { readonly kind: 'returnCredit'; readonly slot: LedgerSlot; readonly bytes: number }
  /** No more blocks come: make it durable. */
  | { readonly kind: 'endFile'; readonly checkpoint: LedgerCheckpoint }
  /** Stop writing and forget the half-made file. */
  | { readonly kind: 'discardFile'; readonly checkpoint: LedgerCheckpoint }
  | { readonly kind: 'deleteFile'; readonly file: StateFile }
  | {
      readonly kind: 'reportWritten';
      readonly checkpoint: LedgerCheckpoint;
      readonly file: StateFile | null;
      readonly subtasks: readonly StoredSubtaskSnapshot[];
    }
  | { readonly kind: 'reportFailed'; readonly checkpoint: LedgerCheckpoint; readonly error: WireError };

interface Pending {
  readonly checkpoint: LedgerCheckpoint;
  /** Slots that take part; null until the checkpoint has begun. */
  slotIndexes: readonly number[] | null;
  readonly done: Map<number, readonly StoredSubtaskSnapshot[]>;
  fileOpen: boolean;
  ending: boolean;
  /** Failed before it has begun: told when it begins, for until then nobody waits for it. */
  failure: WireError | null;
}

interface AttemptState {
  readonly attached: Set<number>;
  readonly left: Set<number>;
  /** Checkpoints that are collecting or ending, by id. */
  readonly pending: Map<number, Pending>;
  settledMax: number;
}

const keyOf = ({ jobName, attempt }: StoreAttempt): string => `${attempt} ${jobName}`;

export class CheckpointLedger {
  readonly #attempts = new Map<string, AttemptState>();

  /** Takes one event and returns what is to be done, in this order. */
  apply(event: LedgerEvent): LedgerAction[] {
    switch (event.kind) {
      case 'slotAttached':
        this.#attempt(event.slot).attached.add(event.slot.slotIndex);
        return [];
      case 'slotLeft':
        return this.#slotLeft(event.slot);
      case 'slotGone':
        return this.#slotGone(event.slot);
      case 'begun':
        return this.#begun(event.checkpoint, event.slotIndexes);
      case 'block':
        return this.#rows(
          event.checkpoint,
          event.slotIndex,
          { ...event, kind: 'append' },
          { kind: 'returnCredit', slot: slotOf(event), bytes: event.block.bytes.length },
        );
      case 'spilled':
        return this.#rows(event.checkpoint, event.slotIndex, { ...event, kind: 'appendSpilled' }, null);
      case 'slotDone':
        return this.#slotDone(event.checkpoint, event.slotIndex, event.subtasks);
      case 'fileWritten':
        return this.#fileWritten(event.checkpoint, event.file);
      case 'fileFailed':
        return this.#fail(this.#find(event.checkpoint), event.error);
      case 'aborted':
        return this.#aborted(event.checkpoint);
    }
  }

  /** Attempts that anything is remembered of. */
  get attemptCount(): number {
    return this.#attempts.size;
  }

  /** What its subtasks handed over with the checkpoint of their end is carried on by the job manager. */
  #slotLeft(slot: LedgerSlot): LedgerAction[] {
    const state = this.#attempt(slot);
    state.left.add(slot.slotIndex);
    return [...state.pending.values()].flatMap((pending) => {
      if (pending.done.has(slot.slotIndex)) return [];
      pending.done.set(slot.slotIndex, []);
      return this.#endIfAllDone(pending);
    });
  }

  #slotGone(slot: LedgerSlot): LedgerAction[] {
    const state = this.#attempts.get(keyOf(slot));
    if (state === undefined) return [];
    state.attached.delete(slot.slotIndex);
    const actions: LedgerAction[] = [];
    for (const pending of [...state.pending.values()]) {
      const missing = pending.slotIndexes?.includes(slot.slotIndex) === true && !pending.done.has(slot.slotIndex);
      if (missing) actions.push(...this.#fail(pending, slotMissing(pending.checkpoint, slot.slotIndex)));
      else if (pending.slotIndexes === null && state.attached.size === 0) actions.push(...this.#settle(pending));
    }
    this.#forgetIfOver(slot);
    return actions;
  }

  #begun(checkpoint: LedgerCheckpoint, slotIndexes: readonly number[]): LedgerAction[] {
    const state = this.#attempt(checkpoint);
    if (isOver(state, checkpoint.checkpointId)) {
      this.#forgetIfOver(checkpoint);
      return [{ kind: 'reportFailed', checkpoint, error: outOfOrder(checkpoint, state.settledMax) }];
    }
    const actions: LedgerAction[] = [];
    for (const earlier of [...state.pending.values()]) {
      // Begun in order of ids: what an earlier one holds without having begun never will.
      if (earlier.slotIndexes === null && earlier.checkpoint.checkpointId < checkpoint.checkpointId)
        actions.push(...this.#settle(earlier));
    }
    const pending = this.#pending(state, checkpoint);
    pending.slotIndexes = [...slotIndexes];
    for (const slotIndex of state.left) if (!pending.done.has(slotIndex)) pending.done.set(slotIndex, []);
    if (pending.failure !== null) return [...actions, ...this.#fail(pending, pending.failure)];
    const missing = slotIndexes.find((slotIndex) => !state.attached.has(slotIndex) && !pending.done.has(slotIndex));
    if (missing !== undefined) return [...actions, ...this.#fail(pending, slotMissing(checkpoint, missing))];
    return [...actions, ...this.#endIfAllDone(pending)];
  }

  /** @param credit what goes back when the rows are not taken; null: they took none */
  #rows(
    checkpoint: LedgerCheckpoint,
    slotIndex: number,
    append: LedgerAction,
    credit: LedgerAction | null,
  ): LedgerAction[] {
    const state = this.#attempt(checkpoint);
    const dropped = credit === null ? [] : [credit];
    if (isOver(state, checkpoint.checkpointId)) return dropped;
    const pending = this.#pending(state, checkpoint);
    if (pending.failure !== null) return dropped;
    if (pending.ending || pending.done.has(slotIndex))
      return [...dropped, ...this.#fail(pending, blockAfterDone(checkpoint, slotIndex))];
    if (pending.fileOpen) return [append];
    pending.fileOpen = true;
    return [{ kind: 'openFile', checkpoint }, append];
  }

  #slotDone(
    checkpoint: LedgerCheckpoint,
    slotIndex: number,
    subtasks: readonly StoredSubtaskSnapshot[],
  ): LedgerAction[] {
    const state = this.#attempt(checkpoint);
    if (isOver(state, checkpoint.checkpointId)) return [];
    const pending = this.#pending(state, checkpoint);
    if (pending.done.has(slotIndex)) return [];
    pending.done.set(slotIndex, subtasks);
    return this.#endIfAllDone(pending);
  }

  #endIfAllDone(pending: Pending): LedgerAction[] {
    if (pending.slotIndexes === null || !pending.slotIndexes.every((slotIndex) => pending.done.has(slotIndex)))
      return [];
    if (!pending.fileOpen) return this.#written(pending, null);
    if (pending.ending) return [];
    pending.ending = true;
    return [{ kind: 'endFile', checkpoint: pending.checkpoint }];
  }

  #fileWritten(checkpoint: LedgerCheckpoint, file: StateFile): LedgerAction[] {
    const pending = this.#find(checkpoint);
    if (pending === undefined || !pending.ending) return [{ kind: 'deleteFile', file }];
    pending.fileOpen = false;
    return this.#written(pending, file);
  }

  #written(pending: Pending, file: StateFile | null): LedgerAction[] {
    const subtasks = [...pending.done].sort(([left], [right]) => left - right).flatMap(([, infos]) => infos);
    return [...this.#settle(pending), { kind: 'reportWritten', checkpoint: pending.checkpoint, file, subtasks }];
  }

  #fail(pending: Pending | undefined, error: WireError): LedgerAction[] {
    if (pending === undefined) return [];
    if (pending.slotIndexes === null) {
      pending.failure ??= error;
      return this.#discard(pending);
    }
    return [...this.#settle(pending), { kind: 'reportFailed', checkpoint: pending.checkpoint, error }];
  }

  #aborted(checkpoint: LedgerCheckpoint): LedgerAction[] {
    const state = this.#attempts.get(keyOf(checkpoint));
    if (state === undefined) return [];
    const pending = state.pending.get(checkpoint.checkpointId);
    if (pending !== undefined) return this.#settle(pending);
    state.settledMax = Math.max(state.settledMax, checkpoint.checkpointId);
    return [];
  }

  /** The checkpoint is over: nothing of it is taken any more. */
  #settle(pending: Pending): LedgerAction[] {
    const { checkpoint } = pending;
    const state = this.#attempt(checkpoint);
    state.pending.delete(checkpoint.checkpointId);
    state.settledMax = Math.max(state.settledMax, checkpoint.checkpointId);
    this.#forgetIfOver(checkpoint);
    return this.#discard(pending);
  }

  #discard(pending: Pending): LedgerAction[] {
    if (!pending.fileOpen) return [];
    pending.fileOpen = false;
    return [{ kind: 'discardFile', checkpoint: pending.checkpoint }];
  }

  /** Without slots nobody can send for an attempt any more. */
  #forgetIfOver(attempt: StoreAttempt): void {
    const state = this.#attempts.get(keyOf(attempt));
    if (state?.attached.size === 0 && state.pending.size === 0) this.#attempts.delete(keyOf(attempt));
  }

  #find(checkpoint: LedgerCheckpoint): Pending | undefined {
    return this.#attempts.get(keyOf(checkpoint))?.pending.get(checkpoint.checkpointId);
  }

  #attempt(attempt: StoreAttempt): AttemptState {
    let state = this.#attempts.get(keyOf(attempt));
    if (state === undefined) {
      state = { attached: new Set(), left: new Set(), pending: new Map(), settledMax: -1 };
      this.#attempts.set(keyOf(attempt), state);
    }
    return state;
  }

  #pending(state: AttemptState, checkpoint: LedgerCheckpoint): Pending {
    let pending = state.pending.get(checkpoint.checkpointId);
    if (pending === undefined) {
      pending = { checkpoint, slotIndexes: null, done: new Map(), fileOpen: false, ending: false, failure: null };
      state.pending.set(checkpoint.checkpointId, pending);
    }
    return pending;
  }
}

const attemptOf = ({ jobName, attempt }: StoreAttempt): StoreAttempt => ({ jobName, attempt });

const slotOf = (event: { readonly checkpoint: LedgerCheckpoint; readonly slotIndex: number }): LedgerSlot => {
  return { ...attemptOf(event.checkpoint), slotIndex: event.slotIndex };
};

const isOver = (state: AttemptState, checkpointId: number): boolean =>
  checkpointId <= state.settledMax && !state.pending.has(checkpointId);

function slotMissing({ jobName, attempt, checkpointId }: LedgerCheckpoint, slotIndex: number): WireError {
  const message =
    `checkpoint ${checkpointId} of job ${jobName} (attempt ${attempt}) cannot be finished: slot ${slotIndex} has ended before it ` +
    'handed over its snapshot; the reason is with the slot';
  return toWireError(
    new EngineError('CHECKPOINT_FAILED', message, {
      domain: 'internal',
      retry: 'backoff',
      ids: { jobName, attempt, checkpointId, slotIndex },
    }),
  );
}

function outOfOrder({ jobName, attempt, checkpointId }: LedgerCheckpoint, settledMax: number): WireError {
  const message = `checkpoint ${checkpointId} of job ${jobName} (attempt ${attempt}) was begun after checkpoint ${settledMax} was over; ids grow and are never reused`;
  return toWireError(
    new EngineError('PROTOCOL', message, { domain: 'internal', ids: { jobName, attempt, checkpointId } }),
  );
}

function blockAfterDone({ jobName, attempt, checkpointId }: LedgerCheckpoint, slotIndex: number): WireError {
  const message = `slot ${slotIndex} of job ${jobName} (attempt ${attempt}) sent rows for checkpoint ${checkpointId} after it had said that it was done`;
  return toWireError(
    new EngineError('PROTOCOL', message, { domain: 'internal', ids: { jobName, attempt, checkpointId, slotIndex } }),
  );
}
