/**
 * What must survive the job manager: the pointer to the newest complete checkpoint, counters, the terminal state, manifests.
 * Everything here decides what happens after a crash, so each promise resolves only when its effect is durable, and a
 * rejection means "perhaps": the caller reads back or does the same again.
 */
import type { WireError } from '../../core/errors.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { TerminalJobState } from '../model/job-state.ts';

export type JobCounter = 'epoch' | 'attempt' | 'checkpoint';

export interface TerminalRecord {
  readonly state: TerminalJobState;
  readonly error: WireError | null;
}

export interface JobStore {
  /**
   * The newest complete checkpoint; null before the first.
   * @throws EngineError CHECKPOINT_UNREADABLE when there was one and it cannot be read: never step back silently
   */
  readPointer(jobId: string): Promise<CheckpointPointer | null>;
  /**
   * Replaces the pointer if it still is the one of checkpoint `expected` (null: if there is none).
   * @throws EngineError when it is not known whether it was replaced
   */
  compareAndSetPointer(
    jobId: string,
    expected: number | null,
    pointer: CheckpointPointer,
  ): Promise<'done' | 'conflict'>;
  /** The next value of a counter, durable before it is answered: 1, 2, … never twice, gaps allowed. */
  advanceCounter(jobId: string, counter: JobCounter): Promise<number>;
  /** The value of a counter that was given out last; 0 before the first. */
  readCounter(jobId: string, counter: JobCounter): Promise<number>;
  /** Stores a manifest under a name of its own. */
  writeManifest(jobId: string, manifest: Manifest): Promise<ObjectRef>;
  /** @throws EngineError CHECKPOINT_UNREADABLE naming the object */
  readManifest(object: ObjectRef): Promise<Manifest>;
  /** Names of all state files and manifests of a job, needed or not, in no order. */
  listObjects(jobId: string): Promise<string[]>;
  /** Removes objects; one that is not there is no error. */
  deleteObjects(names: readonly string[]): Promise<void>;
  /** How the last run ended; null while one is open. */
  readTerminal(jobId: string): Promise<TerminalRecord | null>;
  /** `conflict` when a leader of a later epoch has taken the job over: then nothing was recorded. */
  recordTerminal(jobId: string, record: TerminalRecord, leaderEpoch: number): Promise<'done' | 'conflict'>;
  /** A job that had ended without finishing is run again. */
  clearTerminal(jobId: string): Promise<void>;
}
