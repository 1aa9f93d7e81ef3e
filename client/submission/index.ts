/**
 * Public entry `millrace/cluster`: a cluster as typed functions. Apart from `millrace`, so that a job file does not load
 * what only clients need.
 */
export { ClusterClient, type ClusterClientOptions, type LogOptions, type Submission } from './cluster-client.ts';
export type { WireError } from '../../core/errors.ts';
export type { TlsMaterial, TlsMaterialSource } from '../../core/tls-material.ts';
export type {
  ClusterStatus,
  CompletedCheckpoint,
  JobState,
  JobStatus,
  JobTotals,
  LogLevel,
  LogLine,
  TaskManagerStatus,
  VertexStatus,
} from '../../proto/client-messages.ts';
