/** What a window of some kind cannot be asked for, said when the job is defined. */
import { EngineError } from '../../core/errors.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import type { LogicalNode } from '../plan/logical-graph.ts';

/** True for windows that place records by their timestamps: only they know late records. */
export function isEventTime(window: WindowDefinition<never>): boolean {
  return window.kind !== 'global' && window.kind !== 'count' && window.time === 'event';
}

/** @throws EngineError JOB_INVALID when the window never has late records */
export function checkLateOutput(node: LogicalNode): void {
  const window = node.config['window'] as unknown as WindowDefinition<never> | undefined;
  if (window === undefined || isEventTime(window)) return;
  throw new EngineError(
    'JOB_INVALID',
    `late() of ${described(window)}: only event-time windows know late records, so nothing would ever come; remove it`,
  );
}

/** The gap function of a session, as the operator takes it. */
export function gapFunction<In>(window: WindowDefinition<In>): { readonly gapOf?: (value: never) => number } {
  return window.kind === 'session' && window.gapOf !== null ? { gapOf: window.gapOf as (value: never) => number } : {};
}

function described<In>(window: WindowDefinition<In>): string {
  if (window.kind === 'global' || window.kind === 'count') return `a ${window.kind} window`;
  return `a ${window.kind} window of processing time`;
}
