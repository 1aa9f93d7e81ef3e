/**
 * The directions of the control plane, and what clients ask of a cluster: one async method per rpc. A rejection is an
 * EngineError. Implemented by the shells of task manager and job manager, and by the wrappers of `rpc/` that encode and
 * decode every message in between.
 */
import type {
  CancelJobRequest,
  ClusterStatus,
  ForgetJobRequest,
  GetClusterRequest,
  DisposeSavepointRequest,
  GetJobRequest,
  JobStatus,
  ListJobsRequest,
  ListJobsResponse,
  LogLine,
  ObjectHeader,
  ReadObjectRequest,
  ReadObjectResponse,
  RescaleJobRequest,
  RescaleJobResponse,
  StopJobRequest,
  StopJobResponse,
  SubmitJobRequest,
  SubmitJobResponse,
  TailLogsRequest,
  TriggerSavepointRequest,
  TriggerSavepointResponse,
} from './client-messages.ts';
import type {
  Acknowledgement,
  AdoptAttemptRequest,
  AlignmentAnswer,
  AlignmentReport,
  CancelAttemptRequest,
  CheckpointAcknowledgement,
  CheckpointDecline,
  ConnectSlotsRequest,
  DeploySlotsRequest,
  HeartbeatRequest,
  LogReport,
  MergeFilesRequest,
  MergeReport,
  NotifyCheckpointRequest,
  ObjectRef,
  RegisterTaskManagerRequest,
  RegisterTaskManagerResponse,
  SlotEndedReport,
  SlotListeningReport,
  SubtaskStateReport,
  TriggerCheckpointRequest,
} from './messages.ts';

/** Job manager → task manager. */
export interface TaskManagerGateway {
  deploySlots(request: DeploySlotsRequest): Promise<Acknowledgement>;
  connectSlots(request: ConnectSlotsRequest): Promise<Acknowledgement>;
  cancelAttempt(request: CancelAttemptRequest): Promise<Acknowledgement>;
  triggerCheckpoint(request: TriggerCheckpointRequest): Promise<Acknowledgement>;
  notifyCheckpointComplete(request: NotifyCheckpointRequest): Promise<Acknowledgement>;
  notifyCheckpointAborted(request: NotifyCheckpointRequest): Promise<Acknowledgement>;
  mergeFiles(request: MergeFilesRequest): Promise<Acknowledgement>;
  adoptAttempt(request: AdoptAttemptRequest): Promise<Acknowledgement>;
}

/** Task manager → job manager. */
export interface JobManagerGateway {
  registerTaskManager(request: RegisterTaskManagerRequest): Promise<RegisterTaskManagerResponse>;
  heartbeat(request: HeartbeatRequest): Promise<Acknowledgement>;
  reportSlotListening(report: SlotListeningReport): Promise<Acknowledgement>;
  reportSubtaskState(report: SubtaskStateReport): Promise<Acknowledgement>;
  reportSlotEnded(report: SlotEndedReport): Promise<Acknowledgement>;
  acknowledgeCheckpoint(acknowledgement: CheckpointAcknowledgement): Promise<Acknowledgement>;
  declineCheckpoint(decline: CheckpointDecline): Promise<Acknowledgement>;
  reportMerge(report: MergeReport): Promise<Acknowledgement>;
  reportAlignment(report: AlignmentReport): Promise<AlignmentAnswer>;
  /** May be lost, and may be repeated. */
  reportLogs(report: LogReport): Promise<Acknowledgement>;
}

/** Requests of clients that have one answer. */
export interface ClientRequests {
  /** The same `idempotencyKey` answers the same job. */
  submitJob(request: SubmitJobRequest): Promise<SubmitJobResponse>;
  listJobs(request: ListJobsRequest): Promise<ListJobsResponse>;
  getJob(request: GetJobRequest): Promise<JobStatus>;
  /** Answers when the wish is recorded; the job ends later. */
  cancelJob(request: CancelJobRequest): Promise<Acknowledgement>;
  /** Removes a job that is over, with its checkpoints. */
  forgetJob(request: ForgetJobRequest): Promise<Acknowledgement>;
  /** Answers when the job has ended. */
  stopJob(request: StopJobRequest): Promise<StopJobResponse>;
  triggerSavepoint(request: TriggerSavepointRequest): Promise<TriggerSavepointResponse>;
  /** Gives a savepoint up: its files go when nothing else names them. */
  disposeSavepoint(request: DisposeSavepointRequest): Promise<Acknowledgement>;
  /** Answers when the job was stopped with a checkpoint and its successor is recorded. */
  rescaleJob(request: RescaleJobRequest): Promise<RescaleJobResponse>;
  /** A part of the graph or the artifact of a job. */
  readObject(request: ReadObjectRequest): Promise<ReadObjectResponse>;
  getCluster(request: GetClusterRequest): Promise<ClusterStatus>;
}

/**
 * What clients ask of a cluster. A job manager that does not lead rejects with NOT_LEADER, whose ids `leaderAddress` and
 * `leaderEpoch` name the one that does, where it is known.
 */
export interface ClientGateway extends ClientRequests {
  /**
   * Stores one object under its hash. Whoever implements it counts and hashes what comes, and refuses what is not as the
   * header says; it may answer early when it has the object already.
   */
  putObject(header: ObjectHeader, chunks: AsyncIterable<Uint8Array>): Promise<ObjectRef>;
  /** Ends after the lines there are, or with `signal` when it follows. */
  tailLogs(request: TailLogsRequest, signal: AbortSignal): AsyncIterable<LogLine>;
}
