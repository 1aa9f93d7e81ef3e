/**
 * What can be seen of a cluster through HTTP: answers of the leader's client service, with the subtasks and the history
 * beside them. Reads only.
 */
import { EngineError } from '../../core/errors.ts';
import type { ClusterStatus, JobStatus, VertexStatus } from '../../proto/client-messages.ts';
import type { SubtaskMetrics, SubtaskSnapshotInfo } from '../../proto/messages.ts';
import type { ClientGateway } from '../../proto/services.ts';
import type { JobManager } from '../job-manager.ts';
import type { JobRunner } from '../job-runner.ts';
import { subtaskKey } from '../model/slot-assignment.ts';
import type { ObservedState } from '../subtask-board.ts';
import type { JobHistory, JobHistoryEntry } from './job-history.ts';

export interface SubtaskView {
  readonly subtaskIndex: number;
  /** Null before it was deployed. */
  readonly state: ObservedState | null;
  readonly taskManagerId: string | null;
  readonly slotIndex: number | null;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly lateRecords: number;
  readonly watermarkMs: number;
  readonly busyMs: number;
  readonly idleMs: number;
  readonly backPressuredMs: number;
  readonly counters: Readonly<Record<string, number>>;
  /** Of the newest checkpoint. */
  readonly checkpointBytes: number | null;
  readonly checkpointRows: number | null;
  readonly alignmentMs: number | null;
}

export interface ClusterOverview extends Omit<ClusterStatus, 'taskManagers'> {
  readonly taskManagers: number;
  readonly slots: number;
  readonly freeSlots: number;
  /** How many jobs are in which state. */
  readonly jobs: Readonly<Record<string, number>>;
}

/** Methods of jobs take an id, or a name: then the newest job of that name is meant. @throws EngineError JOB_NOT_FOUND */
export interface ClusterView {
  overview(): Promise<ClusterOverview>;
  /** Newest first, without their vertices. */
  jobs(): Promise<readonly JobStatus[]>;
  job(job: string): Promise<JobStatus>;
  vertices(job: string): Promise<readonly VertexStatus[]>;
  /** @throws EngineError USAGE when the job has no such vertex */
  subtasks(job: string, vertexId: string): Promise<readonly SubtaskView[]>;
  history(job: string): Promise<JobHistoryEntry>;
  taskManagers(): Promise<ClusterStatus['taskManagers']>;
}

export interface ClusterViewOptions {
  /** Of the leader. */
  readonly clients: Pick<ClientGateway, 'listJobs' | 'getJob' | 'getCluster'>;
  readonly jobManager: Pick<JobManager, 'job' | 'slotPool'>;
  readonly history: JobHistory;
}

/** The view of a leader. */
export function leaderView({ clients, jobManager, history }: ClusterViewOptions): ClusterView {
  const find = (job: string): Promise<JobStatus> => clients.getJob({ job });
  return {
    overview: async () => {
      const { taskManagers, ...cluster } = await clients.getCluster({});
      const { jobs } = await clients.listJobs({});
      const { slots, freeSlots } = jobManager.slotPool.supply;
      return { ...cluster, taskManagers: taskManagers.length, slots, freeSlots, jobs: countStates(jobs) };
    },
    jobs: async () => (await clients.listJobs({})).jobs.map((job) => ({ ...job, vertices: [] })),
    job: find,
    vertices: async (job) => (await find(job)).vertices,
    subtasks: async (job, vertexId) => {
      const { jobId, vertices } = await find(job);
      const vertex = vertices.find((candidate) => candidate.vertexId === vertexId);
      if (vertex === undefined) throw noSuchVertex(jobId, vertexId, vertices);
      return subtasksOf(vertex, jobManager.job(jobId));
    },
    history: async (job) => history.of((await find(job)).jobId),
    taskManagers: async () => (await clients.getCluster({})).taskManagers,
  };
}

/** How many jobs are in which state. */
export function countStates(jobs: readonly { readonly state: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state } of jobs) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

function subtasksOf({ vertexId, parallelism }: VertexStatus, runner: JobRunner | null): SubtaskView[] {
  const observed = new Map(runner?.subtasks.map((one) => [subtaskKey(one.subtask), one]));
  const metrics = new Map(runner?.subtaskMetrics.map((one) => [subtaskKey(one.subtask), one]));
  const snapshots = new Map(runner?.newestCheckpoint?.subtasks.map((one) => [subtaskKey(one.subtask), one]));
  return Array.from({ length: parallelism }, (_, subtaskIndex) => {
    const key = subtaskKey({ vertexId, subtaskIndex });
    const place = observed.get(key);
    return {
      subtaskIndex,
      state: place?.state ?? null,
      taskManagerId: place?.taskManagerId ?? null,
      slotIndex: place?.slotIndex ?? null,
      ...figuresOf(metrics.get(key)),
      ...snapshotOf(snapshots.get(key)),
    };
  });
}

type Figures = Omit<SubtaskMetrics, 'subtask'>;
const noFigures: Figures = {
  recordsIn: 0,
  recordsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  lateRecords: 0,
  watermarkMs: Number.NEGATIVE_INFINITY,
  busyMs: 0,
  idleMs: 0,
  backPressuredMs: 0,
  counters: {},
};

function figuresOf(metrics: SubtaskMetrics | undefined): Figures {
  if (metrics === undefined) return noFigures;
  const { subtask: _, ...figures } = metrics;
  return figures;
}

function snapshotOf(
  info: SubtaskSnapshotInfo | undefined,
): Pick<SubtaskView, 'checkpointBytes' | 'checkpointRows' | 'alignmentMs'> {
  const { bytes = null, rows = null, alignmentMs = null } = info ?? {};
  return { checkpointBytes: bytes, checkpointRows: rows, alignmentMs };
}

function noSuchVertex(jobId: string, vertexId: string, vertices: readonly VertexStatus[]): EngineError {
  const known = vertices.map((vertex) => vertex.vertexId).join(', ');
  const there = known === '' ? 'it has none while it is not run' : `it has ${known.slice(0, 500)}`;
  const message = `job ${jobId} has no vertex ${JSON.stringify(vertexId.slice(0, 80))}; ${there}`;
  return new EngineError('USAGE', message, { ids: { jobId, vertexId: vertexId.slice(0, 80) } });
}
