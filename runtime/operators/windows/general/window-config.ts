/** The config of a general window operator, read back from the graph. */
import type { WindowDefinition } from '../../../../core/windows.ts';
import type { AnyOperatorContext } from '../../operator.ts';

/** How long windows are kept after their end; 0 where the graph does not say. */
export function allowedLatenessMs(context: AnyOperatorContext): number {
  const ms = context.node.config['allowedLatenessMs'];
  return typeof ms === 'number' ? ms : 0;
}

/** Whose time moves the windows; null where they never end. */
export function windowTime(window: WindowDefinition<never>): 'event' | 'processing' | null {
  return window.kind === 'global' || window.kind === 'count' ? null : window.time;
}
