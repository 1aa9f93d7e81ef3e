/** One codec per message of client.proto; see codecs.ts. */
import type * as messages from '../client-messages.ts';
import { jobStates, logLevels, objectKinds } from '../client-messages.ts';
import { millrace } from '../generated/millrace.js';
import { errorInfo, objectRef } from './codecs.ts';
import {
  bytes,
  count,
  enumeration,
  flag,
  float,
  list,
  message,
  nonEmptyText,
  nullable,
  record,
  text,
  uint32,
} from './message-codec.ts';

const wire = millrace.v1;

const objectHeader = message<messages.ObjectHeader>('ObjectHeader', wire.ObjectHeader, {
  kind: enumeration(objectKinds, 1),
  sha256: nonEmptyText,
  bytes: count,
});
export const objectChunk = message<messages.ObjectChunk>('ObjectChunk', wire.ObjectChunk, {
  header: nullable(objectHeader),
  data: bytes,
});
export const submitJobRequest = message<messages.SubmitJobRequest>('SubmitJobRequest', wire.SubmitJobRequest, {
  name: nonEmptyText,
  graph: objectRef,
  artifact: objectRef,
  graphHash: nonEmptyText,
  restorableGraphHashes: list(nonEmptyText),
  engineVersion: nonEmptyText,
  workingDirectory: nonEmptyText,
  restoreSavepoint: nullable(nonEmptyText),
  idempotencyKey: nonEmptyText,
});
export const submitJobResponse = message<messages.SubmitJobResponse>('SubmitJobResponse', wire.SubmitJobResponse, {
  jobId: nonEmptyText,
});

const jobTotals = message<messages.JobTotals>('JobTotals', wire.JobTotals, {
  recordsIn: count,
  recordsOut: count,
  lateRecords: count,
  watermarkMs: float,
  counters: record(count),
});
const completedCheckpoint = message<messages.CompletedCheckpoint>('CompletedCheckpoint', wire.CompletedCheckpoint, {
  id: count,
  completedAtMs: count,
  bytes: count,
});
const vertexStatus = message<messages.VertexStatus>('VertexStatus', wire.VertexStatus, {
  vertexId: nonEmptyText,
  name: text,
  parallelism: uint32,
  subtaskStates: record(uint32),
  recordsIn: count,
  recordsOut: count,
  watermarkMs: float,
  busy: float,
  backPressured: float,
});
export const jobStatus = message<messages.JobStatus>('JobStatus', wire.JobStatus, {
  jobId: nonEmptyText,
  name: nonEmptyText,
  state: enumeration(jobStates, 1),
  attempt: count,
  restarts: uint32,
  submittedAtMs: count,
  endedAtMs: nullable(count),
  error: nullable(errorInfo),
  parallelism: uint32,
  maxParallelism: uint32,
  slotsNeeded: uint32,
  slotsMissing: uint32,
  progress: jobTotals,
  lastCheckpoint: nullable(completedCheckpoint),
  vertices: list(vertexStatus),
});
export const listJobsRequest = message<messages.ListJobsRequest>('ListJobsRequest', wire.ListJobsRequest, {});
export const listJobsResponse = message<messages.ListJobsResponse>('ListJobsResponse', wire.ListJobsResponse, {
  jobs: list(jobStatus),
});
export const getJobRequest = message<messages.GetJobRequest>('GetJobRequest', wire.GetJobRequest, {
  job: nonEmptyText,
});
export const cancelJobRequest = message<messages.CancelJobRequest>('CancelJobRequest', wire.CancelJobRequest, {
  job: nonEmptyText,
});
export const forgetJobRequest = message<messages.ForgetJobRequest>('ForgetJobRequest', wire.ForgetJobRequest, {
  job: nonEmptyText,
});
export const stopJobRequest = message<messages.StopJobRequest>('StopJobRequest', wire.StopJobRequest, {
  job: nonEmptyText,
  savepoint: flag,
  drain: flag,
});
export const stopJobResponse = message<messages.StopJobResponse>('StopJobResponse', wire.StopJobResponse, {
  checkpointId: nullable(count),
  savepointPath: nullable(nonEmptyText),
});
export const triggerSavepointRequest = message<messages.TriggerSavepointRequest>(
  'TriggerSavepointRequest',
  wire.TriggerSavepointRequest,
  { job: nonEmptyText },
);
export const triggerSavepointResponse = message<messages.TriggerSavepointResponse>(
  'TriggerSavepointResponse',
  wire.TriggerSavepointResponse,
  { checkpointId: count, savepointPath: nonEmptyText },
);
export const disposeSavepointRequest = message<messages.DisposeSavepointRequest>(
  'DisposeSavepointRequest',
  wire.DisposeSavepointRequest,
  { savepointPath: nonEmptyText },
);
export const rescaleJobRequest = message<messages.RescaleJobRequest>('RescaleJobRequest', wire.RescaleJobRequest, {
  job: nonEmptyText,
  graph: objectRef,
});
export const readObjectRequest = message<messages.ReadObjectRequest>('ReadObjectRequest', wire.ReadObjectRequest, {
  job: nonEmptyText,
  kind: enumeration(objectKinds, 1),
  offset: count,
});
export const readObjectResponse = message<messages.ReadObjectResponse>('ReadObjectResponse', wire.ReadObjectResponse, {
  object: objectRef,
  data: bytes,
});
export const rescaleJobResponse = message<messages.RescaleJobResponse>('RescaleJobResponse', wire.RescaleJobResponse, {
  checkpointId: count,
});

const taskManagerStatus = message<messages.TaskManagerStatus>('TaskManagerStatus', wire.TaskManagerStatus, {
  id: nonEmptyText,
  host: nonEmptyText,
  slots: uint32,
  freeSlots: uint32,
  lastHeardMs: count,
  engineVersion: text,
});
export const getClusterRequest = message<messages.GetClusterRequest>('GetClusterRequest', wire.GetClusterRequest, {});
export const clusterStatus = message<messages.ClusterStatus>('ClusterStatus', wire.ClusterStatus, {
  clusterId: nonEmptyText,
  leaderEpoch: count,
  leaderAddress: nonEmptyText,
  engineVersion: nonEmptyText,
  taskManagers: list(taskManagerStatus),
});
export const tailLogsRequest = message<messages.TailLogsRequest>('TailLogsRequest', wire.TailLogsRequest, {
  job: nullable(nonEmptyText),
  taskManagerId: nullable(nonEmptyText),
  lines: uint32,
  follow: flag,
});
export const logLine = message<messages.LogLine>('LogLine', wire.LogLine, {
  timeMs: count,
  level: enumeration(logLevels, 1),
  taskManagerId: nullable(nonEmptyText),
  jobId: nullable(nonEmptyText),
  text,
});
