/** The metrics of a job manager: its slots, jobs and their checkpoints. Those of subtasks are told by the task managers. */
import type { MetricSink } from '../../operations/metrics/metrics-registry.ts';
import type { JobManager } from '../job-manager.ts';
import { countStates } from './cluster-view.ts';
import type { JobHistory } from './job-history.ts';

/** Jobs of one scrape with series of their own, newest first. */
export const jobSeriesMax = 200;

export interface JobManagerFigures {
  readonly jobManager: Pick<JobManager, 'slotPool'>;
  /** In the order of their submission. */
  readonly jobs: readonly { readonly jobId: string; readonly state: string }[];
}

/** @param figures null while this process does not lead: it knows of nothing then */
export function collectJobManager(figures: JobManagerFigures | null, history: JobHistory, sink: MetricSink): void {
  sink('millrace_leader', {}, figures === null ? 0 : 1);
  if (figures === null) return;
  const { taskManagers, slots, freeSlots } = figures.jobManager.slotPool.supply;
  sink('millrace_task_managers', {}, taskManagers);
  sink('millrace_slots', {}, slots);
  sink('millrace_slots_free', {}, freeSlots);
  for (const [state, count] of Object.entries(countStates(figures.jobs))) sink('millrace_jobs', { state }, count);
  sink('millrace_job_series_dropped', {}, Math.max(0, figures.jobs.length - jobSeriesMax));
  for (const { jobId } of figures.jobs.slice(-jobSeriesMax)) collectJob(jobId, history, sink);
}

function collectJob(jobId: string, history: JobHistory, sink: MetricSink): void {
  const { completedCheckpoints, failedCheckpoints, restarts, checkpoints } = history.of(jobId);
  const labels = { job: jobId };
  sink('millrace_job_restarts_total', labels, restarts);
  sink('millrace_checkpoints_completed_total', labels, completedCheckpoints);
  sink('millrace_checkpoints_failed_total', labels, failedCheckpoints);
  const newest = checkpoints.find(({ status }) => status === 'completed');
  if (newest === undefined) return;
  // What is not known has no series.
  const none = Number.NaN;
  sink('millrace_checkpoint_duration_ms', labels, newest.durationMs ?? none);
  sink('millrace_checkpoint_size_bytes', labels, newest.bytes ?? none);
  sink('millrace_checkpoint_alignment_ms', labels, newest.alignmentMs ?? none);
  sink('millrace_state_size_bytes', labels, newest.stateBytes ?? none);
}
