/**
 * The two directions of the control plane: one async method per rpc. A rejection is an EngineError. Implemented by the
 * shells of task manager and job manager, and by the wrappers of `rpc/` that encode and decode every message in between.
 */
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
  MergeFilesRequest,
  MergeReport,
  NotifyCheckpointRequest,
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
}
