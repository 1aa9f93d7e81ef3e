/** The line that shows how a run gets on. Pure: what time it is comes with the samples. */
import type { RunProgress } from '../embedded/run-types.ts';
import { bytesText, countText, eventTimeText, rateText, spanText } from '../output/number-text.ts';

/** A progress and the moment it was seen. */
export interface ProgressSample {
  readonly progress: RunProgress;
  /** Monotonic time since the run began, in ms. */
  readonly elapsedMs: number;
  /** Wall clock, in ms; only to say how long ago a checkpoint was. */
  readonly nowMs: number;
}

/** One line: time, records in and out, rate since the last sample, event time, last checkpoint, and what is unusual. */
export function progressText(current: ProgressSample, previous: ProgressSample | null): string {
  const { progress } = current;
  const parts = [
    spanText(current.elapsedMs),
    `${countText(progress.recordsIn)} in`,
    `${countText(progress.recordsOut)} out`,
    `${rateText(recordsPerSecond(current, previous))} records/s`,
    `event time ${eventTimeText(progress.watermarkMs)}`,
    checkpointText(current),
  ];
  if (progress.lateRecords > 0) parts.push(`${countText(progress.lateRecords)} late`);
  if (progress.restarts > 0) parts.push(`${countText(progress.restarts)} restarts`);
  if (progress.state !== 'running') parts.push(progress.state);
  return parts.join('  ');
}

/** Records read per second since the last sample; a restart sets counts back, which is no negative rate. */
export function recordsPerSecond(current: ProgressSample, previous: ProgressSample | null): number {
  const before = previous ?? { progress: { recordsIn: current.progress.restored?.sourceRecords ?? 0 }, elapsedMs: 0 };
  const seconds = (current.elapsedMs - before.elapsedMs) / 1_000;
  if (seconds <= 0) return 0;
  return Math.max(0, (current.progress.recordsIn - before.progress.recordsIn) / seconds);
}

function checkpointText({ progress, nowMs }: ProgressSample): string {
  const last = progress.lastCheckpoint;
  if (last === null) return 'no checkpoint yet';
  return `checkpoint ${last.id} (${bytesText(last.bytes)}, ${spanText(Math.max(0, nowMs - last.completedAtMs))} ago)`;
}
