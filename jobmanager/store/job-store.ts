/**
 * What must survive the job manager: the pointer to the newest complete checkpoint, counters, the terminal state, manifests.
 * Everything here decides what happens after a crash, so each promise resolves only when its effect is durable, and a
 * rejection means "perhaps": the caller reads back or does the same again.
 */
import type { WireError } from '../../core/errors.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { TerminalJobState } from '../model/job-state.ts';
import type { SavepointDocument } from './savepoint-document.ts';

export type JobCounter = 'epoch' | 'attempt' | 'checkpoint';

export interface TerminalRecord {
  readonly state: TerminalJobState;
  readonly error: WireError | null;
  /** Absent in records of earlier releases. */
  readonly endedAtMs?: number;
}

/** The checkpoint that a job starts from although it is not its own: a savepoint, or one of a job it continues. */
export interface RestoreSource {
  readonly jobId: string;
  readonly checkpointId: number;
  readonly manifest: ObjectRef;
}

/** A job as it was submitted: everything a later leader needs to run it. Never changed. */
export interface JobRecord {
  /** Unique for this submission. */
  readonly jobId: string;
  /** What people call it. */
  readonly name: string;
  readonly graphRef: ObjectRef;
  readonly artifactRef: ObjectRef;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one. */
  readonly restorableGraphHashes: readonly string[];
  /** What relative paths of its connectors are resolved against. */
  readonly workingDirectory: string;
  /** Of the client that planned it. */
  readonly engineVersion: string;
  readonly submittedAtMs: number;
  /** Given by the client, so that a submission whose answer was lost can be repeated. */
  readonly idempotencyKey: string;
  readonly restoreFrom: RestoreSource | null;
}

export interface JobStore {
  /**
   * Stores a job before it is run. The same record again is no error: its first answer may have been lost.
   * @returns `conflict` when another record has this id: nothing was stored
   * @throws EngineError STALE_EPOCH when another leader has taken over; anything else: perhaps stored
   */
  createJob(record: JobRecord): Promise<'done' | 'conflict'>;
  /** All jobs that were stored and not removed, in the order of their submission. */
  readJobs(): Promise<JobRecord[]>;
  /**
   * Replaces the graph a job runs by the same one with another parallelism. @throws EngineError STALE_EPOCH when another leader has
   * taken over; anything else: perhaps replaced
   */
  writeGraph(jobId: string, graph: ObjectRef): Promise<void>;
  /** The graph that replaced the one of the record; null when none did. */
  readGraph(jobId: string): Promise<ObjectRef | null>;
  /**
   * Forgets a job that has ended: its record, pointer, counters and how it ended. Its objects stay; who removes them does so before.
   * Not for one whose pointer pins savepoints: they would be forgotten with it.
   * One that is not there is no error. @throws EngineError STALE_EPOCH
   */
  removeJob(jobId: string): Promise<void>;
  /**
   * The newest complete checkpoint; null before the first.
   * @throws EngineError CHECKPOINT_UNREADABLE when there was one and it cannot be read: never step back silently
   */
  readPointer(jobId: string): Promise<CheckpointPointer | null>;
  /**
   * Replaces the pointer if it still is the one of checkpoint `expected` (null: if there is none). `conflict`: it was not, or
   * another leader has taken over; the stored pointer says what is.
   * @throws EngineError when it is not known whether it was replaced
   */
  compareAndSetPointer(
    jobId: string,
    expected: number | null,
    pointer: CheckpointPointer,
  ): Promise<'done' | 'conflict'>;
  /**
   * The next value of a counter, durable before it is answered: 1, 2, … never twice, gaps allowed.
   * @throws EngineError STALE_EPOCH when another leader has taken over
   */
  advanceCounter(jobId: string, counter: JobCounter): Promise<number>;
  /**
   * Lets the counters of a job go on above these values, for one that starts from the state of another job. Lower ones change
   * nothing. @throws EngineError STALE_EPOCH when another leader has taken over
   */
  raiseCounters(jobId: string, above: { readonly attempt: number; readonly checkpoint: number }): Promise<void>;
  /** The value of a counter that was given out last; 0 before the first. */
  readCounter(jobId: string, counter: JobCounter): Promise<number>;
  /** Stores a manifest under a name of its own. */
  writeManifest(jobId: string, manifest: Manifest): Promise<ObjectRef>;
  /** @throws EngineError CHECKPOINT_UNREADABLE naming the object */
  readManifest(object: ObjectRef): Promise<Manifest>;
  /** Stores the document of a savepoint; the same one again is no error. @returns its path */
  writeSavepoint(document: SavepointDocument): Promise<string>;
  /** @throws EngineError SAVEPOINT_NOT_FOUND, SAVEPOINT_UNREADABLE naming the path */
  readSavepoint(path: string): Promise<SavepointDocument>;
  /** Names of all state files, manifests and savepoints of a job, needed or not, in no order. */
  listObjects(jobId: string): Promise<string[]>;
  /** Removes objects; one that is not there is no error. */
  deleteObjects(names: readonly string[]): Promise<void>;
  /** How the last run ended; null while one is open. */
  readTerminal(jobId: string): Promise<TerminalRecord | null>;
  /** `conflict` when a leader of a later epoch has taken the job over: then nothing was recorded. */
  recordTerminal(jobId: string, record: TerminalRecord, leaderEpoch: number): Promise<'done' | 'conflict'>;
  /** A job that had ended without finishing is run again. @throws EngineError STALE_EPOCH */
  clearTerminal(jobId: string): Promise<void>;
}
