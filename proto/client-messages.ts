/**
 * The messages between a cluster and those who use it as plain values, mirror of client.proto; conventions as in
 * messages.ts. A job is named by its id, or by its name: then the newest job of that name is meant.
 */
import type { WireError } from '../core/errors.ts';
import type { ObjectRef } from './messages.ts';

export const objectKinds = ['graph', 'artifact'] as const;
export type ObjectKind = (typeof objectKinds)[number];

export interface ObjectHeader {
  readonly kind: ObjectKind;
  /** Lower-case hex of the whole object. */
  readonly sha256: string;
  readonly bytes: number;
}

/** One message of the stream that stores an object. */
export interface ObjectChunk {
  /** In the first one, and only there. */
  readonly header: ObjectHeader | null;
  /** At most 1 MiB. */
  readonly data: Uint8Array;
}

export interface SubmitJobRequest {
  readonly name: string;
  readonly graph: ObjectRef;
  readonly artifact: ObjectRef;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one. */
  readonly restorableGraphHashes: readonly string[];
  /** Of the client. */
  readonly engineVersion: string;
  /** Absolute. */
  readonly workingDirectory: string;
  /** Path of the savepoint to go on from; null for a fresh start. */
  readonly restoreSavepoint: string | null;
  /** The same submission sent again answers the same job. */
  readonly idempotencyKey: string;
}

export interface SubmitJobResponse {
  readonly jobId: string;
}

export type ListJobsRequest = Readonly<Record<never, never>>;

export interface ListJobsResponse {
  /** Newest first. */
  readonly jobs: readonly JobStatus[];
}

export interface GetJobRequest {
  /** Id or name. */
  readonly job: string;
}

/** In the order of the enum of client.proto, whose 0 is never sent. What they mean: jobmanager/model/job-state.ts. */
export const jobStates = [
  'created',
  'deploying',
  'running',
  'restarting',
  'stopping',
  'canceling',
  'finished',
  'failed',
  'canceled',
  'stopped',
] as const;
/** States of a job; the last four are final. */
export type JobState = (typeof jobStates)[number];

/** What a job does, as of now. */
export interface JobStatus {
  readonly jobId: string;
  readonly name: string;
  readonly state: JobState;
  readonly attempt: number;
  readonly restarts: number;
  readonly submittedAtMs: number;
  readonly endedAtMs: number | null;
  /** Why it failed, or why its last attempt did. */
  readonly error: WireError | null;
  readonly parallelism: number;
  readonly maxParallelism: number;
  readonly slotsNeeded: number;
  /** While it waits for slots. */
  readonly slotsMissing: number;
  readonly progress: JobTotals;
  readonly lastCheckpoint: CompletedCheckpoint | null;
  /** None in a list of jobs. */
  readonly vertices: readonly VertexStatus[];
}

/** What a job has read and written so far. */
export interface JobTotals {
  /** Records sources have handed out, across restarts; what is read again after a restart counts once. */
  readonly recordsIn: number;
  /** Records sinks have taken in this attempt. */
  readonly recordsOut: number;
  readonly lateRecords: number;
  /** -Infinity before the first watermark. */
  readonly watermarkMs: number;
  readonly counters: Readonly<Record<string, number>>;
}

/** The newest checkpoint of a job. */
export interface CompletedCheckpoint {
  readonly id: number;
  readonly completedAtMs: number;
  readonly bytes: number;
}

/** One vertex of the graph of a job, over all its subtasks. */
export interface VertexStatus {
  readonly vertexId: string;
  readonly name: string;
  readonly parallelism: number;
  /** How many of its subtasks are in which state. */
  readonly subtaskStates: Readonly<Record<string, number>>;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly watermarkMs: number;
  /** Shares of the time of its subtasks, 0..1. */
  readonly busy: number;
  readonly backPressured: number;
}

export interface CancelJobRequest {
  readonly job: string;
}

export interface ForgetJobRequest {
  readonly job: string;
}

export interface StopJobRequest {
  readonly job: string;
  /** Keep what it ends with, for a later restore. */
  readonly savepoint: boolean;
  /** Event time ends first: windows fire, timers too. */
  readonly drain: boolean;
}

export interface StopJobResponse {
  readonly checkpointId: number | null;
  readonly savepointPath: string | null;
}

export interface TriggerSavepointRequest {
  readonly job: string;
}

export interface TriggerSavepointResponse {
  readonly checkpointId: number;
  readonly savepointPath: string;
}

export interface DisposeSavepointRequest {
  readonly savepointPath: string;
}

export interface RescaleJobRequest {
  readonly job: string;
  /** The job planned for another parallelism, by who has its code; an object that was stored. */
  readonly graph: ObjectRef;
}

/** Asks for a part of what a job was submitted with. */
export interface ReadObjectRequest {
  readonly job: string;
  readonly kind: ObjectKind;
  readonly offset: number;
}

export interface ReadObjectResponse {
  /** The whole. */
  readonly object: ObjectRef;
  /** From the offset on, at most 1 MiB; empty at the end. */
  readonly data: Uint8Array;
}

export interface RescaleJobResponse {
  /** The job goes on from it. */
  readonly checkpointId: number;
}

export type GetClusterRequest = Readonly<Record<never, never>>;

/** A cluster, as the job manager that leads it sees it. */
export interface ClusterStatus {
  readonly clusterId: string;
  readonly leaderEpoch: number;
  /** `host:port`. */
  readonly leaderAddress: string;
  readonly engineVersion: string;
  readonly taskManagers: readonly TaskManagerStatus[];
}

/** A task manager that the leader hears of. */
export interface TaskManagerStatus {
  readonly id: string;
  readonly host: string;
  readonly slots: number;
  readonly freeSlots: number;
  /** How long ago, in milliseconds. */
  readonly lastHeardMs: number;
  readonly engineVersion: string;
}

export interface TailLogsRequest {
  /** Null: of all jobs. */
  readonly job: string | null;
  /** Null: of all processes. */
  readonly taskManagerId: string | null;
  /** How many of those logged before. */
  readonly lines: number;
  /** And those logged from now on, until the caller leaves. */
  readonly follow: boolean;
}

/** In the order of the enum of client.proto, whose 0 is never sent. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
/** How much a log line matters. */
export type LogLevel = (typeof logLevels)[number];

/** One line of the log of a process of the cluster. */
export interface LogLine {
  readonly timeMs: number;
  readonly level: LogLevel;
  /** Null: the job manager. */
  readonly taskManagerId: string | null;
  readonly jobId: string | null;
  readonly text: string;
}
