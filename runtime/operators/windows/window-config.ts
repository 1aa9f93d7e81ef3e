/** The config of a window operator as the runtime reads it; a graph made by hand is checked as well. */
import { EngineError } from '../../../core/errors.ts';
import type { OperatorContext } from '../operator.ts';

export interface WindowConfig {
  readonly kind: 'tumbling' | 'sliding' | 'session' | 'count';
  /** True when the clock of the machine decides where a record goes and when a window fires. */
  readonly processingTime: boolean;
  /** Length in ms, or in records. */
  readonly size: number;
  /** Distance of window starts in ms, or in records. */
  readonly slide: number;
  readonly offsetMs: number;
  /** Null: the gap comes from the function of the definition. */
  readonly gapMs: number | null;
  readonly allowedLatenessMs: number;
}

type Raw = { readonly [name: string]: unknown };

/** @throws EngineError JOB_INVALID when a number is none; NOT_SUPPORTED for windows that need a trigger */
export function windowConfig(context: OperatorContext<'window-aggregate'>): WindowConfig {
  const { config, id } = context.node;
  const window = (config['window'] ?? {}) as Raw;
  const kind = window['kind'];
  if (kind !== 'tumbling' && kind !== 'sliding' && kind !== 'session' && kind !== 'count') {
    throw new EngineError('NOT_SUPPORTED', `operator '${id}': a window of kind '${String(kind)}' needs a trigger`);
  }
  const positive = (name: string, value: unknown): number => {
    if (typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY) return value;
    const what = `a ${kind} window with ${name} ${String(value)}`;
    throw new EngineError('JOB_INVALID', `operator '${id}': ${what}; give a positive number`);
  };
  const aligned = kind === 'tumbling' || kind === 'sliding';
  const size = aligned ? positive('size', window['sizeMs']) : kind === 'count' ? positive('size', window['size']) : 0;
  const eventTime = kind !== 'count' && window['time'] !== 'processing';
  const lateness = config['allowedLatenessMs'];
  const slide = window[aligned ? 'slideMs' : 'slide'];
  return {
    kind,
    processingTime: kind !== 'count' && !eventTime,
    size,
    slide: kind === 'sliding' || kind === 'count' ? positive('slide', slide) : size,
    offsetMs: typeof window['offsetMs'] === 'number' ? window['offsetMs'] : 0,
    gapMs: kind === 'session' && typeof window['gapMs'] === 'number' ? positive('gap', window['gapMs']) : null,
    // Lateness exists in event time only.
    allowedLatenessMs: eventTime && typeof lateness === 'number' ? lateness : 0,
  };
}
