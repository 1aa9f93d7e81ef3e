/**
 * The metrics of a task manager: what its slots said last, with shares of time over the last seconds. Sampled by the second
 * and not by the scrape, so that several who scrape do not halve each other's figures.
 */
import type { MetricSink } from '../../operations/metrics/metrics-registry.ts';
import type { AttemptMetrics, SubtaskMetrics } from '../../proto/messages.ts';

/** Subtasks of one scrape: more would make it too large for whoever reads it. */
export const subtaskSeriesMax = 2_000;
/** User counters of one subtask that are told. */
export const userCountersMax = 32;
/** How often times are sampled, in ms. */
export const sampleIntervalMs = 1_000;
/** Shares are taken over this many samples. */
const samplesKept = 5;

const millisecondsPerSecond = 1_000;
/** Longest value of a label. */
const labelLengthMax = 128;

interface Times {
  readonly atMs: number;
  readonly busyMs: number;
  readonly idleMs: number;
  readonly backPressuredMs: number;
}

export interface TaskManagerFigures {
  readonly attempts: readonly AttemptMetrics[];
  readonly slotsRunning: number;
}

export class TaskManagerMetrics {
  readonly #samples = new Map<string, Times[]>();

  /** To be called every {@link sampleIntervalMs}. @param nowMs of a clock that only goes forward */
  sample({ attempts }: TaskManagerFigures, nowMs: number): void {
    const seen = new Set<string>();
    for (const [key, metrics] of subtasksOf(attempts)) {
      seen.add(key);
      const samples = this.#samples.get(key) ?? [];
      this.#samples.set(key, samples);
      const { busyMs, idleMs, backPressuredMs } = metrics;
      samples.push({ atMs: nowMs, busyMs, idleMs, backPressuredMs });
      if (samples.length > samplesKept) samples.shift();
    }
    for (const key of this.#samples.keys()) if (!seen.has(key)) this.#samples.delete(key);
  }

  /** @param nowMs wall clock, for the lag of watermarks */
  collect({ attempts, slotsRunning }: TaskManagerFigures, nowMs: number, sink: MetricSink): void {
    sink('millrace_slots_running', {}, slotsRunning);
    const subtasks = newestOf(attempts);
    sink('millrace_subtask_series_dropped', {}, Math.max(0, subtasks.length - subtaskSeriesMax));
    for (const { key, jobId, metrics } of subtasks.slice(0, subtaskSeriesMax)) {
      const { vertexId, subtaskIndex } = metrics.subtask;
      const labels = { job: jobId, vertex: vertexId.slice(0, labelLengthMax), subtask: String(subtaskIndex) };
      collectCounts(metrics, labels, sink);
      this.#collectShares(key, labels, sink);
      sink('millrace_watermark_ms', labels, metrics.watermarkMs);
      sink('millrace_watermark_lag_ms', labels, nowMs - metrics.watermarkMs);
    }
  }

  #collectShares(key: string, labels: Readonly<Record<string, string>>, sink: MetricSink): void {
    const samples = this.#samples.get(key) ?? [];
    const first = samples[0];
    const last = samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return;
    // Waits are counted when they end; of what nothing was heard in all that time, it did nothing.
    const busyMs = last.busyMs - first.busyMs;
    const backPressuredMs = last.backPressuredMs - first.backPressuredMs;
    const idleMs = last.idleMs - first.idleMs;
    const totalMs = Math.max(last.atMs - first.atMs, busyMs + backPressuredMs + idleMs);
    const share = (ms: number): number => Math.round((ms / totalMs) * millisecondsPerSecond);
    sink('millrace_busy_ms_per_second', labels, share(busyMs));
    sink('millrace_back_pressured_ms_per_second', labels, share(backPressuredMs));
    sink('millrace_idle_ms_per_second', labels, millisecondsPerSecond - share(busyMs) - share(backPressuredMs));
  }
}

function collectCounts(metrics: SubtaskMetrics, labels: Readonly<Record<string, string>>, sink: MetricSink): void {
  sink('millrace_records_in_total', labels, metrics.recordsIn);
  sink('millrace_records_out_total', labels, metrics.recordsOut);
  sink('millrace_bytes_in_total', labels, metrics.bytesIn);
  sink('millrace_bytes_out_total', labels, metrics.bytesOut);
  sink('millrace_late_records_total', labels, metrics.lateRecords);
  for (const [counter, value] of Object.entries(metrics.counters).slice(0, userCountersMax))
    sink('millrace_user_counter_total', { ...labels, counter: counter.slice(0, labelLengthMax) }, value);
}

function* subtasksOf(attempts: readonly AttemptMetrics[]): Generator<[key: string, metrics: SubtaskMetrics]> {
  for (const { attempt, metrics } of attempts) {
    for (const one of metrics)
      yield [`${attempt.jobId}/${attempt.attempt}/${one.subtask.vertexId}/${one.subtask.subtaskIndex}`, one];
  }
}

interface NamedSubtask {
  readonly key: string;
  readonly jobId: string;
  readonly metrics: SubtaskMetrics;
}

/** A subtask of the newest attempt of each job: an older one that still ends would be a second series of the same name. */
function newestOf(attempts: readonly AttemptMetrics[]): NamedSubtask[] {
  const newest = new Map<string, AttemptMetrics>();
  for (const one of attempts) {
    const { jobId, attempt } = one.attempt;
    if (attempt >= (newest.get(jobId)?.attempt.attempt ?? 0)) newest.set(jobId, one);
  }
  return [...newest].flatMap(([jobId, one]) =>
    [...subtasksOf([one])].map(([key, metrics]) => ({ key, jobId, metrics })),
  );
}
