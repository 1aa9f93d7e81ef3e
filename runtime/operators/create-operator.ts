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
import { createDedupOperator } from './dedup.ts';
import { createBroadcastProcessOperator } from './broadcast-process.ts';
import { CoFlatMapOperator } from './co-flat-map.ts';
import { createCoProcessOperator } from './co-process.ts';
import { FilterOperator } from './filter.ts';
import { FlatMapOperator } from './flat-map.ts';
import { createIntervalJoinOperator } from './interval-join.ts';
import { createJoinOperator } from './join.ts';
import { MapOperator } from './map.ts';
import type { AnyOperatorContext, Operator, OperatorContext } from './operator.ts';
import {
  createPlainBroadcastOperator,
  createPlainCoProcessOperator,
  createPlainProcessOperator,
} from './plain-process.ts';
import { createProcessOperator } from './process.ts';
import { createReduceOperator } from './reduce.ts';
import { ChangelogFilterOperator, ChangesOperator, ToChangelogOperator } from './row-kinds.ts';
import { SinkCommitterOperator } from './sink-committer.ts';
import { SinkWriterOperator } from './sink-writer.ts';
import { SourcePlannerOperator } from './source-planner.ts';
import { SourceReaderOperator } from './source-reader.ts';
import { TimestampsOperator } from './timestamps.ts';
import { createTopNOperator } from './top-n.ts';
import { createUpdatingAggregateOperator } from './updating-aggregate.ts';
import { createUpsertsOperator } from './upserts.ts';
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
      if (context.node.config['changelog'] !== undefined) return new ChangelogFilterOperator(as<'filter'>(context));
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
    case 'co-process':
      return createCoProcessOperator(as<'co-process'>(context));
    case 'plain-process':
      return createPlainProcessOperator(as<'plain-process'>(context));
    case 'plain-co-process':
      return createPlainCoProcessOperator(as<'plain-co-process'>(context));
    case 'co-flat-map':
      return new CoFlatMapOperator(as<'co-flat-map'>(context));
    case 'broadcast-process':
      return createBroadcastProcessOperator(as<'broadcast-process'>(context));
    case 'plain-broadcast-process':
      return createPlainBroadcastOperator(as<'plain-broadcast-process'>(context));
    case 'broadcast-input':
      return new BroadcastInputOperator(as<'broadcast-input'>(context));
    case 'async-map':
      return new AsyncMapOperator(as<'async-map'>(context));
    case 'to-changelog':
      return new ToChangelogOperator(as<'to-changelog'>(context));
    case 'changes':
      return new ChangesOperator(as<'changes'>(context));
    case 'upserts':
      return createUpsertsOperator(as<'upserts'>(context));
    case 'updating-aggregate':
      return createUpdatingAggregateOperator(as<'updating-aggregate'>(context));
    case 'top-n':
      return createTopNOperator(as<'top-n'>(context));
    case 'dedup':
      return createDedupOperator(as<'dedup'>(context));
    case 'join':
      return createJoinOperator(as<'join'>(context));
    case 'interval-join':
      return createIntervalJoinOperator(as<'interval-join'>(context));
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
