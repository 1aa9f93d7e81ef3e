/** One codec per message of millrace.proto. The type checker sees to it that no field of a plain interface is forgotten. */
import { errorCodes } from '../../core/errors.ts';
import type { WireError } from '../../core/errors.ts';
import { logSeverities } from '../../core/log-record.ts';
import { millrace } from '../generated/millrace.js';
import { subtaskStates } from '../messages.ts';
import type * as messages from '../messages.ts';
import {
  count,
  enumeration,
  flag,
  float,
  list,
  message,
  nonEmptyText,
  nullable,
  oneOf,
  record,
  recursive,
  text,
  uint32,
} from './message-codec.ts';
import type { FieldCodec, MessageCodec } from './message-codec.ts';

const wire = millrace.v1;

/** Ids arrive as text, whatever they were: they are for people. */
const ids: FieldCodec<Record<string, string | number>> = {
  toWire: (value) => Object.fromEntries(Object.entries(value).map(([key, id]) => [key, String(id)])),
  fromWire: (value, path) => ({ ...record(text).fromWire(value, path) }),
};

export const errorInfo: MessageCodec<WireError> = message<WireError>('ErrorInfo', wire.ErrorInfo, {
  code: oneOf(errorCodes),
  domain: oneOf(['user', 'external', 'internal'] as const),
  retry: oneOf(['never', 'backoff'] as const),
  message: text,
  ids,
  stack: text,
  cause: nullable(recursive(() => errorInfo)),
});

export const acknowledgement = message<messages.Acknowledgement>('Acknowledgement', wire.Acknowledgement, {});

const attemptRef = message<messages.AttemptRef>('AttemptRef', wire.AttemptRef, {
  leaderEpoch: count,
  jobId: nonEmptyText,
  attempt: count,
});
export const objectRef = message<messages.ObjectRef>('ObjectRef', wire.ObjectRef, {
  name: nonEmptyText,
  sha256: nonEmptyText,
  bytes: count,
});
const subtaskRef = message<messages.SubtaskRef>('SubtaskRef', wire.SubtaskRef, {
  vertexId: nonEmptyText,
  subtaskIndex: uint32,
});
const slotSlice = message<messages.SlotSlice>('SlotSlice', wire.SlotSlice, {
  slotIndex: uint32,
  subtasks: list(subtaskRef),
});
const slotAddress = message<messages.SlotAddress>('SlotAddress', wire.SlotAddress, {
  slotIndex: uint32,
  host: nonEmptyText,
  port: uint32,
});

export const deploySlotsRequest = message<messages.DeploySlotsRequest>('DeploySlotsRequest', wire.DeploySlotsRequest, {
  attempt: attemptRef,
  graph: objectRef,
  artifact: objectRef,
  restoreManifest: nullable(objectRef),
  slices: list(slotSlice),
  finished: list(subtaskRef),
  workingDirectory: text,
  graphHash: nonEmptyText,
  currentAttempts: list(count),
});
export const connectSlotsRequest = message<messages.ConnectSlotsRequest>(
  'ConnectSlotsRequest',
  wire.ConnectSlotsRequest,
  { attempt: attemptRef, slots: list(slotAddress), slices: list(slotSlice) },
);
export const cancelAttemptRequest = message<messages.CancelAttemptRequest>(
  'CancelAttemptRequest',
  wire.CancelAttemptRequest,
  { attempt: attemptRef, cancelTimeoutMs: uint32 },
);
export const triggerCheckpointRequest = message<messages.TriggerCheckpointRequest>(
  'TriggerCheckpointRequest',
  wire.TriggerCheckpointRequest,
  { attempt: attemptRef, checkpointId: count, triggeredAtMs: count, stop: flag, drain: flag },
);
export const notifyCheckpointRequest = message<messages.NotifyCheckpointRequest>(
  'NotifyCheckpointRequest',
  wire.NotifyCheckpointRequest,
  { attempt: attemptRef, checkpointId: count },
);
export const mergeFilesRequest = message<messages.MergeFilesRequest>('MergeFilesRequest', wire.MergeFilesRequest, {
  attempt: attemptRef,
  mergeId: count,
  inputs: list(objectRef),
});

export const adoptAttemptRequest = message<messages.AdoptAttemptRequest>(
  'AdoptAttemptRequest',
  wire.AdoptAttemptRequest,
  {
    attempt: attemptRef,
    completedCheckpointId: count,
  },
);

const runningSubtask = message<messages.RunningSubtask>('RunningSubtask', wire.RunningSubtask, {
  subtask: subtaskRef,
  state: enumeration(subtaskStates, 1),
  inputEnded: flag,
  error: nullable(errorInfo),
});
const runningAttempt = message<messages.RunningAttempt>('RunningAttempt', wire.RunningAttempt, {
  attempt: attemptRef,
  graphSha256: nonEmptyText,
  slices: list(slotSlice),
  subtasks: list(runningSubtask),
  pendingCheckpointIds: list(count),
  endedSlots: list(uint32),
  currentAttempts: list(count),
});
export const registerTaskManagerRequest = message<messages.RegisterTaskManagerRequest>(
  'RegisterTaskManagerRequest',
  wire.RegisterTaskManagerRequest,
  {
    taskManagerId: nonEmptyText,
    slotCount: uint32,
    host: nonEmptyText,
    engineVersion: text,
    dataHost: nonEmptyText,
    rpcAddress: text,
    running: list(runningAttempt),
  },
);
export const registerTaskManagerResponse = message<messages.RegisterTaskManagerResponse>(
  'RegisterTaskManagerResponse',
  wire.RegisterTaskManagerResponse,
  { leaderEpoch: count },
);
const subtaskMetrics = message<messages.SubtaskMetrics>('SubtaskMetrics', wire.SubtaskMetrics, {
  subtask: subtaskRef,
  recordsIn: count,
  recordsOut: count,
  lateRecords: count,
  watermarkMs: float,
  busyMs: count,
  backPressuredMs: count,
  idleMs: count,
  bytesIn: count,
  bytesOut: count,
  counters: record(count),
});
const attemptMetrics = message<messages.AttemptMetrics>('AttemptMetrics', wire.AttemptMetrics, {
  attempt: attemptRef,
  metrics: list(subtaskMetrics),
});
export const heartbeatRequest = message<messages.HeartbeatRequest>('HeartbeatRequest', wire.HeartbeatRequest, {
  taskManagerId: nonEmptyText,
  leaderEpoch: count,
  attempts: list(attemptMetrics),
});
export const slotListeningReport = message<messages.SlotListeningReport>(
  'SlotListeningReport',
  wire.SlotListeningReport,
  { attempt: attemptRef, taskManagerId: nonEmptyText, address: slotAddress },
);
export const subtaskStateReport = message<messages.SubtaskStateReport>('SubtaskStateReport', wire.SubtaskStateReport, {
  attempt: attemptRef,
  taskManagerId: nonEmptyText,
  subtask: subtaskRef,
  state: enumeration(subtaskStates, 1),
  inputEnded: flag,
  error: nullable(errorInfo),
});
export const slotEndedReport = message<messages.SlotEndedReport>('SlotEndedReport', wire.SlotEndedReport, {
  attempt: attemptRef,
  taskManagerId: nonEmptyText,
  slotIndex: uint32,
  error: nullable(errorInfo),
});

const subtaskSnapshotInfo = message<messages.SubtaskSnapshotInfo>('SubtaskSnapshotInfo', wire.SubtaskSnapshotInfo, {
  subtask: subtaskRef,
  afterEnd: flag,
  rows: count,
  bytes: count,
  alignmentMs: count,
  sourceRecords: count,
});
const stateFile = message<messages.StateFile>('StateFile', wire.StateFile, {
  object: objectRef,
  rows: count,
  keyGroupFirst: uint32,
  keyGroupLast: uint32,
});
export const checkpointAcknowledgement = message<messages.CheckpointAcknowledgement>(
  'CheckpointAcknowledgement',
  wire.CheckpointAcknowledgement,
  {
    attempt: attemptRef,
    taskManagerId: nonEmptyText,
    checkpointId: count,
    subtasks: list(subtaskSnapshotInfo),
    file: nullable(stateFile),
  },
);
export const checkpointDecline = message<messages.CheckpointDecline>('CheckpointDecline', wire.CheckpointDecline, {
  attempt: attemptRef,
  taskManagerId: nonEmptyText,
  checkpointId: count,
  error: errorInfo,
});
export const mergeReport = message<messages.MergeReport>('MergeReport', wire.MergeReport, {
  attempt: attemptRef,
  taskManagerId: nonEmptyText,
  mergeId: count,
  base: nullable(stateFile),
  error: nullable(errorInfo),
});

const alignedGroup = message<messages.AlignedGroup>('AlignedGroup', wire.AlignedGroup, {
  group: nonEmptyText,
  watermarkMs: float,
});
export const alignmentReport = message<messages.AlignmentReport>('AlignmentReport', wire.AlignmentReport, {
  attempt: attemptRef,
  taskManagerId: nonEmptyText,
  slotIndex: uint32,
  groups: list(alignedGroup),
});
export const alignmentAnswer = message<messages.AlignmentAnswer>('AlignmentAnswer', wire.AlignmentAnswer, {
  groups: list(alignedGroup),
});

const loggedLine = message<messages.LoggedLine>('LoggedLine', wire.LoggedLine, {
  timeMs: count,
  level: oneOf(logSeverities),
  jobId: nullable(nonEmptyText),
  text,
});
export const logReport = message<messages.LogReport>('LogReport', wire.LogReport, {
  taskManagerId: nonEmptyText,
  leaderEpoch: count,
  firstNumber: count,
  lines: list(loggedLine),
});

const manifestFile = message<messages.ManifestFile>('ManifestFile', wire.ManifestFile, {
  file: stateFile,
  base: flag,
  checkpointId: count,
});
export const manifest = message<messages.Manifest>('Manifest', wire.Manifest, {
  formatVersion: uint32,
  jobName: nonEmptyText,
  graphHash: nonEmptyText,
  attempt: count,
  checkpointId: count,
  triggeredAtMs: count,
  completedAtMs: count,
  maxParallelism: uint32,
  files: list(manifestFile),
  finished: list(subtaskRef),
  subtasks: list(subtaskSnapshotInfo),
  vertexParallelism: record(uint32),
});
