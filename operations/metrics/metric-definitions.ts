/**
 * Every metric there is, in Flink's notions: name, kind, unit and meaning. Data, so that the page that documents them and
 * the registry cannot drift apart.
 */

export interface MetricDefinition {
  readonly name: string;
  /** A counter only grows, until the attempt or the process begins anew. */
  readonly kind: 'counter' | 'gauge';
  readonly unit: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly process: 'job manager' | 'task manager' | 'both';
}

const subtask = ['job', 'vertex', 'subtask'] as const;

function define<const Name extends string>(
  process: MetricDefinition['process'],
  kind: MetricDefinition['kind'],
  labels: readonly string[],
  table: Readonly<Record<Name, readonly [unit: string, help: string]>>,
): Readonly<Record<Name, MetricDefinition>> {
  const entries = Object.entries<readonly [string, string]>(table);
  const made = entries.map(([name, [unit, help]]) => [name, { name, kind, unit, help, labels, process }]);
  return Object.fromEntries(made) as Record<Name, MetricDefinition>;
}

export const metricDefinitions = {
  ...define('task manager', 'counter', subtask, {
    millrace_records_in_total: ['records', 'Records a subtask has taken in in this attempt; a source: has handed out.'],
    millrace_records_out_total: ['records', 'Records a subtask has handed on; a sink: has taken.'],
    millrace_bytes_in_total: ['bytes', 'Bytes of records a subtask has received from other slots.'],
    millrace_bytes_out_total: ['bytes', 'Bytes of records a subtask has sent to other slots.'],
    millrace_late_records_total: ['records', 'Records that came after the watermark and their lateness.'],
  }),
  ...define('task manager', 'gauge', subtask, {
    millrace_busy_ms_per_second: ['ms per second', 'Time in which the subtask worked.'],
    millrace_idle_ms_per_second: ['ms per second', 'Time in which the subtask had nothing to do.'],
    millrace_back_pressured_ms_per_second: ['ms per second', 'Time in which the subtask waited for room downstream.'],
    millrace_watermark_ms: [
      'ms since the epoch',
      'Event time of the subtask. Absent before the first one and after the last one.',
    ],
    millrace_watermark_lag_ms: ['ms', 'How far the watermark is behind the clock of the task manager.'],
  }),
  ...define('task manager', 'counter', [...subtask, 'counter'], {
    millrace_user_counter_total: ['as counted', 'Counters of operators and of user code.'],
  }),
  ...define('task manager', 'gauge', [], {
    millrace_slots_running: ['slots', 'Slots in which something runs.'],
    millrace_subtask_series_dropped: [
      'subtasks',
      'Subtasks that are left out, because there are too many for one scrape.',
    ],
  }),
  ...define('job manager', 'gauge', [], {
    millrace_leader: ['0 or 1', '1 while this job manager leads.'],
    millrace_task_managers: ['task managers', 'Task managers that are registered.'],
    millrace_slots: ['slots', 'Slots of all task managers.'],
    millrace_slots_free: ['slots', 'Slots that no job uses.'],
    millrace_job_series_dropped: ['jobs', 'Jobs that are left out, because there are too many for one scrape.'],
  }),
  ...define('job manager', 'gauge', ['state'], {
    millrace_jobs: ['jobs', 'Jobs, by state.'],
  }),
  ...define('job manager', 'counter', ['job'], {
    millrace_job_restarts_total: [
      'restarts',
      'Attempts of the job that followed a failure, in this term of the leader.',
    ],
    millrace_checkpoints_completed_total: [
      'checkpoints',
      'Checkpoints that were completed in this term of the leader.',
    ],
    millrace_checkpoints_failed_total: ['checkpoints', 'Checkpoints that were given up in this term of the leader.'],
  }),
  ...define('job manager', 'gauge', ['job'], {
    millrace_checkpoint_duration_ms: ['ms', 'From the trigger of the newest checkpoint to its completion.'],
    millrace_checkpoint_size_bytes: ['bytes', 'What the subtasks wrote for the newest checkpoint.'],
    millrace_checkpoint_alignment_ms: ['ms', 'Longest alignment of barriers of a subtask in the newest checkpoint.'],
    millrace_state_size_bytes: ['bytes', 'All files that a restore from the newest checkpoint reads.'],
  }),
  ...define('both', 'gauge', ['quantile'], {
    millrace_event_loop_delay_ms: ['ms', 'Delay of the event loop of the main thread since the scrape before.'],
  }),
  ...define('both', 'gauge', [], {
    millrace_process_resident_bytes: ['bytes', 'Resident memory of the process, all threads.'],
    millrace_process_heap_used_bytes: ['bytes', 'Used heap of the main thread.'],
    millrace_process_uptime_seconds: ['seconds', 'How long the process has been there.'],
    millrace_insecure: ['1 or 0', '1: it was told to listen without TLS or authentication (`insecure`).'],
  }),
} as const;

export type MetricName = keyof typeof metricDefinitions;
