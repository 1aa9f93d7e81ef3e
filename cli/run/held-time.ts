/**
 * Says once when event time stands still although records come in: windows and timers then wait for a source that has nothing
 * newer, which looks like a job without results. Pure: what time it is comes with the samples.
 */
import type { RunProgress } from '../embedded/run-types.ts';
import { eventTimeText, spanText } from '../output/number-text.ts';
import type { ProgressSample } from './progress-text.ts';

/** Event time may stand this long before it is worth a line. */
const standsMaxMs = 30_000;

export class HeldTime {
  #since: ProgressSample | null = null;
  #told = false;

  /** The line to show now, or null. Bursts are fine: any newer event time begins anew. */
  observe(sample: ProgressSample): string | null {
    const { timeHeldBy, state, recordsIn } = sample.progress;
    if (this.#told) return null;
    if (
      timeHeldBy === null ||
      state !== 'running' ||
      this.#since === null ||
      moved(this.#since.progress, sample.progress)
    ) {
      this.#since = sample;
      return null;
    }
    const { elapsedMs, progress } = this.#since;
    const stoodMs = sample.elapsedMs - elapsedMs;
    if (stoodMs < standsMaxMs || recordsIn <= progress.recordsIn) return null;
    this.#told = true;
    const { operator, subtask, watermarkMs } = timeHeldBy;
    const at = Number.isFinite(watermarkMs) ? `at ${eventTimeText(watermarkMs)}` : 'before its beginning';
    return (
      `event time has stood ${at} for ${spanText(stoodMs)} while ${recordsIn - progress.recordsIn} records came in: ` +
      `source '${operator}', subtask ${subtask}, holds it, so windows and timers wait → idleTimeout in withTimestamps(..) goes on without splits that are silent`
    );
  }
}

function moved(before: RunProgress, now: RunProgress): boolean {
  const [held, holds] = [before.timeHeldBy, now.timeHeldBy];
  return before.state !== now.state || before.restarts !== now.restarts || held?.watermarkMs !== holds?.watermarkMs;
}
