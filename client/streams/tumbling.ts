/** Window definitions. */
import { EngineError } from '../../core/errors.ts';
import type { TumblingWindows } from '../../core/operators.ts';
import type { Duration } from '../durations.ts';

/**
 * Event-time windows of one length that follow each other: `[start, start + size)`, starts at `offset` modulo `size` from
 * the epoch.
 * @param size    whole milliseconds, 1 or more
 * @param options `offset`: whole milliseconds, may be negative; default 0 (`hours(-8)`: days of UTC+8)
 * @throws EngineError JOB_INVALID when size or offset are not such numbers
 */
export function tumbling(size: Duration, options: { readonly offset?: Duration } = {}): TumblingWindows {
  const offset = options.offset ?? 0;
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new EngineError(
      'JOB_INVALID',
      `tumbling window: size ${size} is not a whole number of milliseconds of 1 or more; write for example minutes(5)`,
    );
  }
  if (!Number.isSafeInteger(offset)) {
    throw new EngineError(
      'JOB_INVALID',
      `tumbling window: offset ${offset} is not a whole number of milliseconds; write for example hours(-8)`,
    );
  }
  return Object.freeze({ kind: 'tumbling', sizeMs: size, offsetMs: ((offset % size) + size) % size });
}
