/**
 * `keyBy(..).window(..).aggregate({..})` without trigger, evictor or window function: incremental windows. Each kind has a
 * file in `windows/`; all keep accumulators in columns, never records.
 */
import type { Operator, OperatorContext } from './operator.ts';
import { CountWindowOperator } from './windows/count-windows.ts';
import { SessionWindowOperator } from './windows/session-windows.ts';
import { SlidingWindowOperator } from './windows/sliding-windows.ts';
import { TumblingWindowOperator } from './windows/tumbling-windows.ts';
import { windowConfig } from './windows/window-config.ts';

/** @throws EngineError JOB_INVALID, NOT_SUPPORTED: see {@link windowConfig} */
export function createWindowAggregateOperator(context: OperatorContext<'window-aggregate'>): Operator {
  const { kind } = windowConfig(context);
  switch (kind) {
    case 'tumbling':
      return new TumblingWindowOperator(context);
    case 'sliding':
      return new SlidingWindowOperator(context);
    case 'session':
      return new SessionWindowOperator(context);
    case 'count':
      return new CountWindowOperator(context);
  }
}
