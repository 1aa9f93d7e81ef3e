/**
 * From an operator of the job graph to the object that runs it. The one place that knows all operators: a new kind gets
 * its functions in `core/operators.ts`, a file here, and a line below.
 */
import { assertNever } from '../../core/errors.ts';
import type { OperatorKind } from '../../core/operators.ts';
import type { SourceTime } from '../time/split-time.ts';
import { createAggregateOperator } from './aggregate.ts';
import { AsyncMapOperator } from './async-map.ts';
import { BroadcastInputOperator } from './broadcast-input.ts';
import { FilterOperator } from './filter.ts';
import { FlatMapOperator } from './flat-map.ts';
import { MapOperator } from './map.ts';
import type { AnyOperatorContext, Operator, OperatorContext } from './operator.ts';
import { createProcessOperator } from './process.ts';
import { createReduceOperator } from './reduce.ts';
import { SinkCommitterOperator } from './sink-committer.ts';
import { SinkWriterOperator } from './sink-writer.ts';
import { SourcePlannerOperator } from './source-planner.ts';
import { SourceReaderOperator } from './source-reader.ts';
import { TimestampsOperator } from './timestamps.ts';
import { createWindowAggregateOperator } from './window-aggregate.ts';
import { createWindowCoGroupOperator } from './windows/general/co-group-operator.ts';
import { createWindowOperator } from './windows/general/window-operator.ts';

/** @param time event time of the split being read; shared by a source reader and the timestamps of its chain */
export function createOperator(context: AnyOperatorContext, time: SourceTime): Operator {
  const kind = context.functions.kind;
  switch (kind) {
    case 'source-planner':
      return new SourcePlannerOperator(as<'source-planner'>(context));
    case 'source-reader':
      return new SourceReaderOperator(as<'source-reader'>(context), time);
    case 'timestamps':
      return new TimestampsOperator(as<'timestamps'>(context), time);
    case 'map':
      return new MapOperator(as<'map'>(context));
    case 'filter':
      return new FilterOperator(as<'filter'>(context));
    case 'flat-map':
      return new FlatMapOperator(as<'flat-map'>(context));
    case 'reduce':
      return createReduceOperator(as<'reduce'>(context));
    case 'aggregate':
      return createAggregateOperator(as<'aggregate'>(context));
    case 'window-aggregate':
      return createWindowAggregateOperator(as<'window-aggregate'>(context));
    case 'window':
      return createWindowOperator(as<'window'>(context));
    case 'window-co-group':
      return createWindowCoGroupOperator(as<'window-co-group'>(context));
    case 'process':
      return createProcessOperator(as<'process'>(context));
    case 'broadcast-input':
      return new BroadcastInputOperator(as<'broadcast-input'>(context));
    case 'async-map':
      return new AsyncMapOperator(as<'async-map'>(context));
    case 'sink-writer':
      return new SinkWriterOperator(as<'sink-writer'>(context));
    case 'sink-committer':
      return new SinkCommitterOperator(as<'sink-committer'>(context));
    default:
      return assertNever(kind, 'operator kind');
  }
}

/** The switch above has looked at the kind; the compiler cannot carry that over to the whole context. */
function as<Kind extends OperatorKind>(context: AnyOperatorContext): OperatorContext<Kind> {
  return context as OperatorContext<Kind>;
}
