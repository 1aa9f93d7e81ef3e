/** The config of a general window operator, read back from the graph. */
import { EngineError } from '../../../../core/errors.ts';
import type { WindowDefinition } from '../../../../core/windows.ts';
import type { AnyOperatorContext } from '../../operator.ts';

export interface GeneralWindowConfig {
  readonly allowedLatenessMs: number;
  /** Side outputs of late records, by input; null where nobody reads them. */
  readonly lateTags: readonly (string | null)[];
}

export function generalWindowConfig(context: AnyOperatorContext): GeneralWindowConfig {
  const { config } = context.node;
  const allowedLatenessMs = config['allowedLatenessMs'];
  return {
    allowedLatenessMs: typeof allowedLatenessMs === 'number' ? allowedLatenessMs : 0,
    lateTags: [config['lateTag'], config['lateSecondTag']].map((tag) => (typeof tag === 'string' ? tag : null)),
  };
}

/** Whose time moves the windows; null where they never end. */
export function windowTime(window: WindowDefinition<never>): 'event' | 'processing' | null {
  return window.kind === 'global' || window.kind === 'count' ? null : window.time;
}

export function timestampMissing(operatorId: string): EngineError {
  const message = `operator '${operatorId}' puts records into event-time windows, but a record has no timestamp → call withTimestamps(..) on the stream first`;
  return new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: operatorId } });
}
